import FlowCore
import FlowData

/// Samples of one model under many solvers, step counts and guidance scales, and how far they are
/// from what they should be.
public struct SolverSweep: Sendable {
  public var solvers: [SolverKind]
  /// Of methods without error control.
  public var steps: [Int]
  /// Relative and absolute, of adaptive ones.
  public var tolerances: [Double]
  public var guidance: [Float]

  public init(
    solvers: [SolverKind], steps: [Int], tolerances: [Double], guidance: [Float]
  ) {
    (self.solvers, self.steps, self.tolerances) = (solvers, steps, tolerances)
    self.guidance = guidance
  }

  /// One line of the table.
  public struct Row: Sendable, Equatable {
    public let solver: String
    /// Steps or tolerance, as text.
    public let setting: String
    public let guidance: Float
    /// Evaluations of the field per sample, mean.
    public let evaluations: Double
    public let imagesPerSecond: Double
    /// What the caller measured, one number per column.
    public let distances: [Double]

    public init(
      solver: String, setting: String, guidance: Float, evaluations: Double,
      imagesPerSecond: Double, distances: [Double]
    ) {
      (self.solver, self.setting, self.guidance) = (solver, setting, guidance)
      (self.evaluations, self.imagesPerSecond) = (evaluations, imagesPerSecond)
      self.distances = distances
    }
  }

  /// One combination.
  public struct Setting: Sendable {
    public let solver: String
    /// Steps or tolerance, as text.
    public let text: String
    public let guidance: Float
    public let sampler: any FlowSampler

    /// A row of the table for this combination.
    public func row(
      evaluations: Double, imagesPerSecond: Double, distances: [Double]
    ) -> Row {
      Row(
        solver: solver, setting: text, guidance: guidance, evaluations: evaluations,
        imagesPerSecond: imagesPerSecond, distances: distances)
    }
  }

  /// Every combination in the order of the table.
  public var settings: [Setting] {
    guidance.flatMap { scale in
      solvers.flatMap { kind -> [Setting] in
        if case .rungeKutta(let tableau) = kind, tableau.isAdaptive {
          return tolerances.map {
            Setting(
              solver: kind.name, text: "tolerance \($0)", guidance: scale,
              sampler: AdaptiveSolver(tableau, relativeTolerance: $0, absoluteTolerance: $0))
          }
        }
        return steps.map {
          Setting(
            solver: kind.name, text: "\($0) steps", guidance: scale,
            sampler: kind.sampler(steps: $0))
        }
      }
    }
  }

  /// A row of `measure` for every combination; all start from the same noise and labels.
  ///
  /// - Parameters:
  ///   - plan: everything but solver and guidance.
  ///   - measure: draws by a plan and judges what comes of it.
  public func rows<Measured>(
    _ plan: SamplingPlan, measure: (Setting, SamplingPlan) throws -> Measured
  ) rethrows -> [Measured] {
    try settings.map { setting in
      var plan = plan
      (plan.solver, plan.guidance) = (setting.sampler, setting.guidance)
      return try measure(setting, plan)
    }
  }

  /// Column `column` of the distances against evaluations: a curve per solver and scale.
  public static func plot(_ rows: [Row], column: Int, title: String, named name: String) -> LinePlot
  {
    var curves: [(name: String, points: [(x: Double, y: Double)])] = []
    let hasScales = Set(rows.map(\.guidance)).count > 1
    for row in rows {
      let name = hasScales ? "\(row.solver), cfg \(row.guidance.plain)" : row.solver
      let point = (x: row.evaluations, y: row.distances[column])
      if let i = curves.firstIndex(where: { $0.name == name }) {
        curves[i].points.append(point)
      } else {
        curves.append((name, [point]))
      }
    }
    return LinePlot(
      title: title, xLabel: "NFE", yLabel: name,
      curves: curves.map { LinePlot.Curve($0.name, $0.points.sorted { $0.x < $1.x }) })
  }
}

extension Float {
  /// Without the .0 of a whole number.
  fileprivate var plain: String { self == rounded() ? "\(Int(self))" : "\(self)" }
}
