import Diagnostics
import FlowComm
import Foundation

// Run under mpirun by FlowCommTests: one command per promise of FlowComm that needs real ranks.
// Rank 0 prints what the test compares.

@main
struct Selftest {
  static func main() {
    do {
      let communicator = try Launch.detect().communicator()
      let arguments = Array(CommandLine.arguments.dropFirst())
      let status = try run(arguments, communicator)
      try communicator.finalize()
      exit(status)
    } catch let error as UserError {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      exit(error.status.rawValue)
    } catch {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      exit(ExitStatus.internal.rawValue)
    }
  }

  static func run(_ arguments: [String], _ ranks: any Communicator) throws -> Int32 {
    switch arguments.first {
    case "reduce": try reduce(arguments[1], microBatches: Int(arguments[2])!, ranks)
    case "messages": try messages(ranks)
    case "reference": print(referenceDigest(microBatches: Int(arguments[1])!, sum: treeSum).text)
    case "sequential":
      print(referenceDigest(microBatches: Int(arguments[1])!) { $0.reduce(0, +) }.text)
    case "queue": return try queue(failing: Int(arguments[1]), ranks)
    case "agree": return try agree(failing: Int(arguments[1])!, ranks)
    case "abort": try abort(failing: Int(arguments[1])!, ranks)
    default:
      throw UserError(.usage, "comm-selftest", found: arguments.joined(separator: " "))
    }
    return 0
  }

  /// Prints a digest of the gathered sum, and the ordered sum of its chunks' sums. `method` is one
  /// of GradientExchange's, or `overlap` (pairwise with a communication thread), or
  /// `crowded` (too little room for a window).
  static func reduce(_ method: String, microBatches: Int, _ ranks: any Communicator) throws {
    var options = GradientExchange.Options()
    options.overlap = method == "overlap"
    options.cores = ranks.size + 1
    if method == "crowded" { options.sharedMemoryRoom = 1 << 20 }
    options.method =
      GradientExchange.Method(rawValue: method) ?? (method == "overlap" ? .pairwise : .tree)
    let result = try reductionDigest(ranks, microBatches: microBatches, options)
    if ranks.rank == 0 { print(result.text) }
  }

  static func messages(_ ranks: any Communicator) throws {
    let token = try ranks.broadcast(ranks.rank == 1 ? Array("token".utf8) : [], from: 1)
    let gathered = try ranks.allGather((0..<ranks.rank).map { UInt8($0) })
    let sum = try ranks.allReduceSum([0.1 * Double(ranks.rank + 1), 1])
    let most = try ranks.allReduce([Int64(ranks.rank), -5], .max)
    let next = (ranks.rank + 1) % ranks.size
    try ranks.send([UInt8](repeating: 7, count: ranks.rank), to: next, tag: 3)
    let message = try ranks.receiveAny(tag: 3)!
    let quiet = try ranks.probe(from: nil, tag: 4, timeout: 0.01) == nil
    if ranks.rank == 0 {
      print(String(decoding: token, as: UTF8.self), gathered.map(\.count), sum, most)
      print(message.source, message.bytes, quiet, ranks.nodeRanks)
    }
  }

  /// 40 items; prints their sum of squares, and that each came once.
  static func queue(failing: Int?, _ ranks: any Communicator) throws -> Int32 {
    var seen: [Int] = []
    var total = 0
    do {
      try WorkQueue(ranks).run(count: 40) { item in
        if item == failing {
          throw UserError(.badData, "item \(item)", found: "broken on purpose")
        }
        return Array("\(item * item)".utf8)
      } deliver: { item, bytes in
        seen.append(item)
        total += Int(String(decoding: bytes, as: UTF8.self))!
      }
    } catch let error as UserError {
      if ranks.rank == 0 { print("stopped by \(error.subject)") }
      return error.status.rawValue
    }
    if ranks.rank == 0 { print(total, seen.sorted() == Array(0..<40)) }
    return 0
  }

  /// Rank `failing` fails; all leave with its error's status, and rank 0 alone prints.
  static func agree(failing: Int, _ ranks: any Communicator) throws -> Int32 {
    do {
      try ranks.together {
        guard ranks.rank == failing else { return }
        throw UserError(.missingInput, "data", at: "row 3", found: "nothing", expected: "a file")
      }
      return 0
    } catch let error as UserError {
      if ranks.rank == 0 { print(error) }
      return error.status.rawValue
    }
  }

  /// Rank `failing` aborts while the others wait for each other.
  static func abort(failing: Int, _ ranks: any Communicator) throws {
    if ranks.rank == failing {
      try ranks.abort(UserError(.badData, "row 17", found: "cannot go on"))
    }
    try ranks.barrier()
  }
}
