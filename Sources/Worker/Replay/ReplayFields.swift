import Diagnostics
import FlowData
import FlowTensor
import Foundation

/// The small vector fields of the solver cases: states [B, D], times [B]. Slopes are computed in
/// Double and rounded once, so that what is compared is the solver's round-off, not the field's: a
/// controller far below its tolerance amplifies either.
enum ReplayField {
  /// f = c
  case constant(Float)
  /// f = x Aᵀ + b·sin(w·t)
  case linear(a: Tensor, b: Tensor, w: Double)
  /// f = W2 tanh(W1 [x, t] + b1) + b2
  case mlp(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor)
  /// (a, v) ↦ (v, μ(1 − a²)v − a + cos 3t)
  case vanDerPol(mu: Double)

  init(_ c: ReferenceCase) throws {
    switch c.config["field"]?.string {
    case "const": self = .constant(try c.input("c").item)
    case "linear":
      self = .linear(
        a: try c.input("A"), b: try c.input("b"), w: c.config["w"]?.double ?? 1)
    case "mlp":
      self = .mlp(
        w1: try c.input("W1"), b1: try c.input("b1"), w2: try c.input("W2"),
        b2: try c.input("b2"))
    case "vdp": self = .vanDerPol(mu: c.config["mu"]?.double ?? 1)
    case let other:
      throw UserError(
        .badData, c.file.path, at: "header entry config", found: "field \(other ?? "missing")",
        expected: "const, linear, mlp or vdp")
    }
  }

  func callAsFunction(_ x: Tensor, _ t: Tensor) -> Tensor {
    let width = x.shape[1]
    let states = x.values.map(Double.init)
    let slopes = t.values.enumerated().flatMap { sample, time in
      velocity(Array(states[sample * width..<(sample + 1) * width]), Double(time))
    }
    return Tensor(x.shape, slopes.map(Float.init))
  }

  private func velocity(_ x: [Double], _ t: Double) -> [Double] {
    switch self {
    case .constant(let c): x.map { _ in Double(c) }
    case .linear(let a, let b, let w):
      sum(product(a, x), b.values.map { Double($0) * sin(w * t) })
    case .mlp(let w1, let b1, let w2, let b2):
      sum(
        product(w2, sum(product(w1, x + [t]), b1.values.map(Double.init)).map { tanh($0) }),
        b2.values.map(Double.init))
    case .vanDerPol(let mu):
      [x[1], mu * (1 - x[0] * x[0]) * x[1] - x[0] + cos(3 * t)]
    }
  }

  private func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map(+) }

  /// Matrix [n, m] times vector [m].
  private func product(_ matrix: Tensor, _ x: [Double]) -> [Double] {
    let values = matrix.values
    return (0..<matrix.shape[0]).map { row in
      x.indices.reduce(0) { $0 + Double(values[row * x.count + $1]) * x[$1] }
    }
  }
}
