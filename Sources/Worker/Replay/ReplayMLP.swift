import Diagnostics
import FlowCore
import FlowData
import FlowTensor
import Foundation

/// The velocity network of the flow cases, W2 tanh(W1 [x, t, y] + b1) + b2. It computes in Double
/// and rounds once, so that what is compared is the product's round-off.
///
/// The cases condition on vectors y; a label is a row of `conditions`, so that a null label is one
/// like any other.
struct ReplayMLP: VelocityField {
  /// [hidden, states + 1 + conditions], [hidden], [states, hidden], [states]
  let w1: Tensor
  let b1: Tensor
  let w2: Tensor
  let b2: Tensor
  /// [rows, width of y]; nil: a network without conditions.
  let conditions: Tensor?

  init(_ c: ReferenceCase, conditions: [Tensor] = []) throws {
    let weights = try c.weights()
    func weight(_ key: String) throws -> Tensor {
      if let weight = weights[key] { return weight }
      throw UserError(.badData, c.file.path, at: "tensor weights.\(key)", found: "missing")
    }
    let width = conditions.first?.shape[-1] ?? 0
    self.conditions =
      conditions.isEmpty
      ? nil
      : Tensor([conditions.reduce(0) { $0 + $1.shape[0] }, width], conditions.flatMap(\.values))
    (w1, b1) = (try weight("W1"), try weight("b1"))
    (w2, b2) = (try weight("W2"), try weight("b2"))
    guard w1.shape == [b1.count, b2.count + 1 + width], w2.shape == [b2.count, b1.count] else {
      throw UserError(
        .badData, c.file.path, at: "weights W1 and W2", found: "\(w1.shape) and \(w2.shape)",
        expected: "[\(b1.count), \(b2.count + 1 + width)] and [\(b2.count), \(b1.count)]")
    }
  }

  private init(_ w1: Tensor, _ b1: Tensor, _ w2: Tensor, _ b2: Tensor, _ conditions: Tensor?) {
    (self.w1, self.b1, self.w2, self.b2) = (w1, b1, w2, b2)
    self.conditions = conditions
  }

  /// The same network with its weights on `tape`.
  func riding(_ tape: Tape) -> ReplayMLP {
    ReplayMLP(tape.ride(w1), tape.ride(b1), tape.ride(w2), tape.ride(b2), conditions)
  }

  /// The gathered gradient of the weight named `key`.
  func gradient(_ key: String) -> [Float]? {
    ["W1": w1, "b1": b1, "W2": w2, "b2": b2][key]?.gradient?.values
  }

  func callAsFunction(_ x: Tensor, t: Tensor, condition: Condition) -> Tensor {
    let inputs = rows(x, t, condition.labels)  // [B][in]
    let hidden = inputs.map { input in
      zip(product(w1, input), b1.values).map { tanh($0 + Double($1)) }
    }
    let v = Tensor(
      x.shape,
      hidden.flatMap { h in zip(product(w2, h), b2.values).map { Float($0 + Double($1)) } })
    guard let tape = w1.tape else { return v }
    let (states, width) = (b2.count, b1.count)
    let w2s = w2.values.map(Double.init)
    let gradients = (w1.gradient, b1.gradient, w2.gradient, b2.gradient)
    return tape.record(v, leaves: [gradients.0, gradients.1, gradients.2, gradients.3]) { dy in
      let dv = (0..<inputs.count).map { b in (0..<states).map { Double(dy.base[b * states + $0]) } }
      let dz = zip(dv, hidden).map { dv, h in  // dz = (1 − h²)·W2ᵀ dv
        (0..<width).map { j in
          (1 - h[j] * h[j]) * dv.indices.reduce(0) { $0 + dv[$1] * w2s[$1 * width + j] }
        }
      }
      let ones = inputs.map { _ in [1.0] }
      for (gradient, rows, columns) in [
        (gradients.0, dz, inputs), (gradients.1, dz, ones), (gradients.2, dv, hidden),
        (gradients.3, dv, ones),
      ] {
        gradient?.add { d, beta in addOuterProducts(rows, columns, into: d, beta: beta) }
      }
    }
  }

  private func rows(_ x: Tensor, _ t: Tensor, _ labels: [Int]?) -> [[Double]] {
    let width = x.shape[1]
    let states = x.values.map(Double.init)
    return t.values.enumerated().map { sample, time in
      let y = conditions.map { $0.slice(labels![sample]..<labels![sample] + 1).values } ?? []
      return Array(states[sample * width..<(sample + 1) * width]) + [Double(time)]
        + y.map(Double.init)
    }
  }

  /// Matrix [n, m] times vector [m].
  private func product(_ matrix: Tensor, _ x: [Double]) -> [Double] {
    let values = matrix.values
    return (0..<matrix.shape[0]).map { row in
      x.indices.reduce(0) { $0 + Double(values[row * x.count + $1]) * x[$1] }
    }
  }
}

/// d += Σ_b rows_b · columns_bᵀ
private func addOuterProducts(
  _ rows: [[Double]], _ columns: [[Double]], into d: UnsafeMutablePointer<Float>, beta: Float
) {
  for i in rows[0].indices {
    for j in columns[0].indices {
      let sum = rows.indices.reduce(0) { $0 + rows[$1][i] * columns[$1][j] }
      let place = d + i * columns[0].count + j
      place.pointee = Float(sum) + (beta == 0 ? 0 : beta * place.pointee)
    }
  }
}
