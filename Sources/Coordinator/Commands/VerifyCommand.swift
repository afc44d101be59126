import ArgumentParser
import Diagnostics
import FlowComm
import FlowData
import Foundation
import RunFormat

/// `latentflow verify`
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Reads a latent cache or checkpoints and compares all hashes, over all ranks.",
    discussion: """
      Of a cache: size, SHA-256, shapes and labels of every shard, and the channel statistics. Of
      a checkpoint, of all checkpoints of a run or of a folder: every file against the manifest,
      the manifest against itself. Exit status 1 if a file is damaged; each is named.

      Examples:
        scripts/run.sh 2 latentflow verify data/shapes-latents
        latentflow verify runs/demo
        latentflow verify runs/demo/checkpoints/step-00000100 --json
      """)

  @Argument(help: "A latent cache, a checkpoint, a run, or a folder of checkpoints.")
  var path: String
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    try Job.run(threading) { job in
      let inventory = try share(job)
      let verdicts = try check(inventory, job)
      var damaged = false
      try job.communicator.together {
        guard job.isCoordinator else { return }
        let report = try VerifyReport(path, inventory, verdicts)
        damaged = !report.damages.isEmpty
        if output.json {
          try StandardOutput.write(json: report)
        } else {
          try StandardOutput.write(report.text)
        }
      }
      let anywhere = try job.communicator.allReduce([damaged ? 1 : 0], .max)[0]
      if anywhere == 1 { throw ExitCode(ExitStatus.failure.rawValue) }
    }
  }

  /// Collective: what rank 0 finds at the path.
  private func share(_ job: Job) throws -> Inventory {
    let own = try job.communicator.together {
      job.isCoordinator ? [UInt8](try JSONEncoder().encode(Inventory(path))) : []
    }
    let bytes = try job.communicator.broadcast(own, from: 0)
    return try job.communicator.together {
      try JSONDecoder().decode(Inventory.self, from: Data(bytes))
    }
  }

  /// Collective: a verdict on every piece; on rank 0 alone, empty elsewhere.
  private func check(_ inventory: Inventory, _ job: Job) throws -> [PieceVerdict?] {
    let progress = ProgressLine()
    let clock = ContinuousClock()
    let begin = clock.now
    let total = inventory.bytes.reduce(0, +)
    var (done, pieces) = (0, 0)
    var verdicts = [PieceVerdict?](repeating: nil, count: inventory.pieces.count)
    try WorkQueue(job.communicator).run(count: inventory.pieces.count) { i in
      Array(try JSONEncoder().encode(PieceVerdict(inventory.pieces[i], of: inventory)))
    } deliver: { i, bytes in
      verdicts[i] = try JSONDecoder().decode(PieceVerdict.self, from: Data(bytes))
      done += inventory.bytes[i]
      pieces += 1
      let rate = Double(done) / max(1e-9, (clock.now - begin).seconds)
      progress.update(
        RunProgress(
          step: pieces, total: inventory.pieces.count,
          secondsLeft: rate > 0 ? Double(total - done) / rate : nil,
          detail: String(format: "%.0f MB/s", rate / 1e6)),
        isLogged: pieces * 10 / verdicts.count > (pieces - 1) * 10 / verdicts.count)
    }
    progress.finish()
    return verdicts
  }
}

/// What is printed.
private struct VerifyReport: Encodable {
  let path: String
  let files: Int
  let bytes: Int
  var damages: [Inventory.Damage]
  private let what: String

  enum CodingKeys: String, CodingKey { case path, files, bytes, damages }

  init(_ path: String, _ inventory: Inventory, _ verdicts: [PieceVerdict?]) throws {
    self.path = path
    files = inventory.pieces.count
    bytes = inventory.bytes.reduce(0, +)
    damages = inventory.damages + verdicts.compactMap { $0?.damage }
    let sums = verdicts.compactMap { $0?.sums }
    if let folder = inventory.caches.first {
      what = "latent cache"
      if damages.isEmpty {
        do {
          try LatentCacheAudit(folder: folder).checkStatistics(sums)
        } catch let error as UserError where error.status == .badData {
          damages.append(Inventory.Damage(error.subject, error))
        }
      }
    } else {
      let n = inventory.checkpoints
      what = n == 1 ? "checkpoint" : "\(n) checkpoints"
    }
  }

  var text: String {
    let head = "\(path): \(what), \(grouped(files)) files of \(grouped(bytes)) bytes"
    guard !damages.isEmpty else { return head + ", all good\n" }
    return head + ", \(damages.count) DAMAGED\n"
      + damages.map { "  \($0.path): \($0.what)\n" }.joined()
  }
}
