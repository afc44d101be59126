import Diagnostics
import Foundation

// Failing together: an error on one rank must neither hang the others nor be told N times.
extension Communicator {
  /// Collective: nil if no rank brings an error, else the error of the lowest rank that does, the
  /// same on all. A rank that leaves after this leaves with all the others; rank 0 alone prints.
  public func agree(error: UserError?) throws -> UserError? {
    guard size > 1 else { return error }
    let first = try allReduce([error == nil ? Int64.max : Int64(rank)], .min)[0]
    guard first != .max else { return nil }
    return UserError(packed: try broadcast(error?.packed ?? [], from: Int(first)))
  }

  /// Collective: runs `body` on every rank and, if it fails on any, throws the same error on all.
  /// `body` must not communicate: a rank that fails in it would leave the others waiting.
  public func together<Result>(_ body: () throws -> Result) throws -> Result {
    let outcome = Swift.Result { try body() }
    if let error = try agree(error: outcome.failure.map { UserError(wrapping: $0, on: rank) }) {
      throw error
    }
    return try outcome.get()
  }
}

extension Result {
  fileprivate var failure: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
}

extension UserError {
  /// An error of any type as one that can travel; a foreign one counts as a defect.
  init(wrapping error: any Error, on rank: Int) {
    self = error as? UserError ?? UserError(.internal, "rank \(rank)", found: "\(error)")
  }

  /// Status, then each text behind its length in bytes (-1: nil).
  var packed: [UInt8] {
    var bytes = pack([Int64(status.rawValue)])
    for text in [subject, place, found, expected, advice] {
      bytes += pack([Int64(text?.utf8.count ?? -1)]) + Array((text ?? "").utf8)
    }
    return bytes
  }

  init(packed bytes: [UInt8]) {
    var rest = bytes[...]
    func number() -> Int {
      defer { rest = rest.dropFirst(8) }
      return Int(unpack(Array(rest.prefix(8)), as: Int64.self)[0])
    }
    func text() -> String? {
      let count = number()
      guard count >= 0 else { return nil }
      defer { rest = rest.dropFirst(count) }
      return String(decoding: rest.prefix(count), as: UTF8.self)
    }
    let status = ExitStatus(rawValue: Int32(number())) ?? .internal
    self.init(
      status, text() ?? "", at: text(), found: text() ?? "", expected: text(), advice: text())
  }
}
