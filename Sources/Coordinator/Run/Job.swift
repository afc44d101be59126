import ArgumentParser
import Diagnostics
import FlowComm
import FlowTensor
import Foundation
import RunFormat

/// The ranks and threads of this command, for as long as it runs.
struct Job {
  let communicator: any Communicator
  let threads: Int

  var rank: Int { communicator.rank }
  var isCoordinator: Bool { communicator.rank == 0 }

  /// Runs `body` on all ranks of the job; starts MPI only under a launcher and ends it afterwards.
  ///
  /// An error that `body` throws on every rank ends all of them with its status. One that a single
  /// rank throws outside a collective ends the job by abort: nobody is left waiting.
  static func run(_ options: ThreadOptions, _ body: (Job) throws -> Void) throws {
    keepFreedMemory()
    let communicator = try FlowComm.Launch.detect().communicator()
    let cores = HostDescription.usableCores
    let ranks = communicator.nodeRanks.count
    let threads = options.count(ranksOnNode: ranks, cores: cores)
    try checkEngine()
    Threads.use(threads)
    if communicator.rank == 0 {
      let warnings = [
        Preflight.oversubscriptionWarning(ranksOnNode: ranks, threads: threads, cores: cores),
        Preflight.processorWarning(),
      ]
      warnings.compactMap(\.self).forEach(StandardError.say)
    }
    let job = Job(communicator: communicator, threads: threads)
    do {
      try body(job)
    } catch let code as ExitCode {
      try job.finalize()
      throw code
    } catch let error as UserError {
      try job.leave(error)
    }
    try job.finalize()
  }

  /// The OpenMP flavour of OpenBLAS shares the engine's threads; the other makes its own.
  private static func checkEngine() throws {
    guard Gemm.sharesThreadTeam else {
      throw UserError(
        .config, "OpenBLAS", found: "the pthread or serial flavour is loaded",
        expected: "the openmp flavour, which shares the engine's threads",
        advice: "run scripts/setup.sh, or: update-alternatives --config "
          + "libopenblas.so.0-x86_64-linux-gnu")
    }
  }

  private func finalize() throws {
    if let mpi = communicator as? MPICommunicator { try mpi.finalize() }
  }

  /// Ends the job after an error: rank 0 says it once, then all ranks end MPI together. A rank
  /// that does not come in time is stuck, or never saw the error: then the job is aborted.
  private func leave(_ error: UserError) throws {
    guard let mpi = communicator as? MPICommunicator, communicator.size > 1 else { throw error }
    let seconds = 2.0
    if isCoordinator {
      for peer in 1..<communicator.size {
        guard try communicator.probe(from: peer, tag: Self.leaving, timeout: seconds) != nil else {
          try communicator.abort(error)
        }
        _ = try communicator.receive(from: peer, tag: Self.leaving)
      }
      StandardError.say("error: \(error)  (exit \(error.status.rawValue))")
      for peer in 1..<communicator.size { try communicator.send([1], to: peer, tag: Self.leaving) }
    } else {
      try communicator.send([1], to: 0, tag: Self.leaving)
      guard
        try communicator.probe(
          from: 0, tag: Self.leaving, timeout: Double(communicator.size) * seconds) != nil
      else { try communicator.abort(error) }
      _ = try communicator.receive(from: 0, tag: Self.leaving)
    }
    try mpi.finalize()
    throw ExitCode(error.status.rawValue)
  }

  private static let leaving = 0x110
}
