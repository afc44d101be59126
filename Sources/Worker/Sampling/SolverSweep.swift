import FlowComm
import FlowCore
import FlowData
import FlowTensor

/// Samples of one model under many solvers, step counts and guidance scales, and how far they are
/// from what they should be.
public struct SolverSweep: Sendable {
  public var solvers: [SolverKind]
  /// Of methods without error control.
  public var steps: [Int]
  /// Relative and absolute, of adaptive ones.
  public var tolerances: [Double]
  public var guidance: [Float]
  /// Samples per row.
  public var count: Int

  public init(
    solvers: [SolverKind], steps: [Int], tolerances: [Double], guidance: [Float], count: Int
  ) {
    (self.solvers, self.steps, self.tolerances) = (solvers, steps, tolerances)
    (self.guidance, self.count) = (guidance, count)
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

  /// Every combination in the order of the table.
  var settings: [(kind: SolverKind, setting: String, sampler: any FlowSampler)] {
    solvers.flatMap { kind -> [(kind: SolverKind, setting: String, sampler: any FlowSampler)] in
      if case .rungeKutta(let tableau) = kind, tableau.isAdaptive {
        return tolerances.map {
          let solver = AdaptiveSolver(tableau, relativeTolerance: $0, absoluteTolerance: $0)
          return (kind, "tolerance \($0)", solver)
        }
      }
      return steps.map { (kind, "\($0) steps", kind.sampler(steps: $0)) }
    }
  }

  /// Collective. All rows start from the same noise and labels.
  ///
  /// - Parameters:
  ///   - plan: everything but solver and guidance
  ///   - distances: on rank 0, from the samples of a row in the order of their indices
  /// - Returns: the rows on rank 0, nil elsewhere
  /// - Throws: what sampling throws, and what `distances` throws, on all ranks
  public func run(
    _ network: Network, _ firstStage: FirstStage, _ plan: SamplingPlan,
    _ communicator: any Communicator, distances: ([FinishedSample]) throws -> [Double]
  ) throws -> [Row]? {
    var rows: [Row] = []
    let clock = ContinuousClock()
    for guidance in guidance {
      for (kind, setting, sampler) in settings {
        var plan = plan
        (plan.solver, plan.guidance) = (sampler, guidance)
        let begin = clock.now
        let samples = try Sampler(network, firstStage, plan).images(count: count, communicator)
        let seconds = (clock.now - begin) / .seconds(1)
        try communicator.together {
          guard let samples else { return }
          let evaluations = samples.reduce(0) { $0 + $1.evaluations }
          rows.append(
            Row(
              solver: kind.name, setting: setting, guidance: guidance,
              evaluations: Double(evaluations) / Double(count),
              imagesPerSecond: Double(count) / seconds, distances: try distances(samples)))
        }
      }
    }
    return communicator.rank == 0 ? rows : nil
  }

  /// Column `column` of the distances against evaluations: a curve per solver and scale.
  public static func plot(_ rows: [Row], column: Int, title: String, named name: String) -> LinePlot
  {
    var curves: [(name: String, points: [(x: Double, y: Double)])] = []
    let hasScales = Set(rows.map(\.guidance)).count > 1
    for row in rows {
      let name = hasScales ? "\(row.solver) cfg \(row.guidance)" : row.solver
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
