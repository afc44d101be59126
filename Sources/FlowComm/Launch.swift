import Diagnostics
import Foundation

/// How this process was started, told from its environment: MPI is initialised only under a
/// launcher that speaks to it.
public enum Launch: Equatable, Sendable {
  /// One of `ranks` ranks under mpirun or srun with PMI.
  case mpi(ranks: Int?)
  /// Alone: single-rank mode, no MPI.
  case single

  /// - Throws: `UserError` with status `usage` where srun started several tasks without PMI: each
  ///   would think itself alone and write into the same run folder.
  public static func detect(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> Launch {
    func number(_ key: String) -> Int? { environment[key].flatMap { Int($0) } }
    if let ranks = number("OMPI_COMM_WORLD_SIZE") ?? number("PMI_SIZE") {
      return .mpi(ranks: ranks)
    }
    let tasks = slurmTasks(environment)
    let underPMI = ["PMIX_RANK", "PMIX_NAMESPACE", "PMI_RANK", "PMI_FD"].contains {
      environment[$0] != nil
    }
    if underPMI { return .mpi(ranks: tasks) }
    if let tasks, tasks > 1 { throw ranksAlone(tasks) }
    return .single
  }

  /// Starts MPI if this is a rank under MPI.
  ///
  /// - Throws: `UserError` if MPI does not start, or finds fewer ranks than the launcher started.
  public func communicator() throws -> any Communicator {
    guard case .mpi(let ranks) = self else { return SingleRank() }
    let communicator = try MPICommunicator()
    if let ranks, communicator.size == 1, ranks > 1 { throw Launch.ranksAlone(ranks) }
    return communicator
  }

  /// Tasks of the Slurm step that this process belongs to, nil outside of a step. A batch script
  /// has task variables too, but is one process: it is told by the step that it lacks.
  private static func slurmTasks(_ environment: [String: String]) -> Int? {
    let inBatchScript = environment["ENVIRONMENT"] == "BATCH" && environment["SLURM_STEP_ID"] == nil
    guard environment["SLURM_PROCID"] != nil, !inBatchScript else { return nil }
    return (environment["SLURM_STEP_NUM_TASKS"] ?? environment["SLURM_NTASKS"]).flatMap { Int($0) }
  }

  private static func ranksAlone(_ tasks: Int) -> UserError {
    UserError(
      .usage, "launch", found: "\(tasks) tasks were started, and MPI sees one rank",
      expected: "one job of \(tasks) ranks",
      advice: """
        launch with `scripts/run.sh \(tasks) latentflow …` or `srun --mpi=pmix -n \(tasks) \
        latentflow …` (`srun --mpi=list` shows what your Slurm has)
        """)
  }
}
