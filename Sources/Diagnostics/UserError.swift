// Errors that are addressed to a person: what, where, found, expected, what to do next.

/// Exit codes of every `latentflow` command (sysexits.h where it has one).
public enum ExitStatus: Int32, Sendable, CaseIterable {
  case success = 0
  /// A check that the command exists to make did not hold (`debug replay`, `verify`).
  case failure = 1
  /// Wrong command line.
  case usage = 64
  /// A file or data set is not what it should be.
  case badData = 65
  /// A file or folder that should exist does not.
  case missingInput = 66
  /// A defect of the program.
  case `internal` = 70
  /// The system refused: disk full, permission, a dead peer.
  case io = 74
  /// Interrupted on request after a checkpoint: queue the same command again.
  case requeue = 75
  /// The configuration is wrong.
  case config = 78
}

/// One failure, told once, in the order a person needs it:
/// `error: SUBJECT, PLACE: found FOUND, expected EXPECTED.` and on the next line what to do.
public struct UserError: Error, Equatable, Sendable, CustomStringConvertible {
  public var status: ExitStatus
  /// The file, folder, option or configuration field that is at fault.
  public var subject: String
  /// Where inside the subject: "byte 8192", "line 12", "tensor blocks.0.attn.qkv.weight".
  public var place: String?
  public var found: String
  public var expected: String?
  public var advice: String?

  public init(
    _ status: ExitStatus, _ subject: String, at place: String? = nil, found: String,
    expected: String? = nil, advice: String? = nil
  ) {
    self.status = status
    self.subject = subject
    self.place = place
    self.found = found
    self.expected = expected
    self.advice = advice
  }

  public var description: String {
    var text = subject
    if let place { text += ", \(place)" }
    text += ": \(found)"
    if let expected { text += "; expected \(expected)" }
    text += "."
    if let advice { text += "\n  \(advice)" }
    return text
  }
}

/// The candidate nearest to `name` by edit distance, if it is near enough to be a slip of the pen.
public func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
  var best: (distance: Int, name: String)?
  for candidate in candidates {
    let distance = editDistance(Array(name.utf8), Array(candidate.utf8))
    if best == nil || distance < best!.distance { best = (distance, candidate) }
  }
  guard let best, best.distance <= max(2, name.utf8.count / 3) else { return nil }
  return best.name
}

/// Levenshtein distance with unit costs.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  var row = Array(0...b.count)
  for i in 0..<a.count {
    var diagonal = row[0]
    row[0] = i + 1
    for j in 0..<b.count {
      let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substituted, row[j + 1] + 1, row[j] + 1)
    }
  }
  return row[b.count]
}
