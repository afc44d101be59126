import FlowTensor

/// Where the steps of a method without error control begin and end.
public enum StepGrid: Equatable, Sendable {
  /// The output times themselves.
  case outputTimes
  /// This many equal steps from the first to the last output time.
  case steps(Int)
  /// Steps of this length, the last one shorter where they do not fit. The number of steps is
  /// rounded in float32, as torchdiffeq does.
  case stepSize(Double)
  /// These times, from the first to the last output time.
  case points([Double])

  /// The ends of the steps on the solver's rising clock.
  func points(_ clock: SolverClock) -> [Double] {
    let first = clock.outputs[0]
    let last = clock.outputs[clock.outputs.count - 1]
    switch self {
    case .outputTimes:
      return clock.outputs
    case .steps(let count):
      precondition(count >= 1, "\(count) steps")
      return (0..<count).map { first + (last - first) * Double($0) / Double(count) } + [last]
    case .stepSize(let size):
      precondition(size > 0, "steps of size \(size)")
      let count = ((Float(last) - Float(first)) / Float(size) + 1).rounded(.up)
      return (0..<Int(count) - 1).map { first + Double($0) * size } + [last]
    case .points(let times):
      let points = times.map { clock.sign * $0 }
      precondition(
        points.first == first && points.last == last
          && zip(points, points.dropFirst()).allSatisfy { $0 < $1 },
        "a grid \(times) for times from \(clock.sign * first) to \(clock.sign * last)")
      return points
    }
  }
}

extension StepGrid: CustomStringConvertible {
  public var description: String {
    switch self {
    case .outputTimes: "steps between the output times"
    case .steps(let count): "\(count) steps"
    case .stepSize(let size): "steps of \(size)"
    case .points(let times): "steps between \(times.map { "\($0)" }.joined(separator: ", "))"
    }
  }
}

/// Gathers the states at the output times while steps pass them.
struct OutputStates {
  private let clock: SolverClock
  private(set) var states: [Tensor]

  init(_ clock: SolverClock, from x0: Tensor) {
    self.clock = clock
    states = [x0.copy()]
  }

  /// A step from `y` at `start` to `next` at `end`; times between are interpolated linearly.
  mutating func pass(_ y: Tensor, at start: Double, to next: Tensor, at end: Double) {
    while states.count < clock.outputs.count, clock.outputs[states.count] <= end {
      let x = (clock.outputs[states.count] - start) / (end - start)
      states.append(x == 1 ? next.copy() : blend(y, next, Float(x)))
    }
  }

  /// a + x·(b − a)
  private func blend(_ a: Tensor, _ b: Tensor, _ x: Float) -> Tensor {
    let result = Tensor(uninitialized: a.shape)
    linearCombination(a, [b, a], coefficients: [x, -x], into: result)
    return result
  }
}
