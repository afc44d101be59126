import ArgumentParser
import Diagnostics
import FlowData
import Foundation

/// `latentflow dataset split`
struct DatasetSplitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "split",
    abstract: "Divides a set into parts: a list of picture names each, for --subset.",
    discussion: """
      Every class is divided in the same shares. A part is a function of seed and names: the same
      set gives the same parts anywhere, and new pictures move but few of the others.

      Example:
        latentflow dataset split photos --parts train=0.9,val=0.1 --out photos-parts
        latentflow encode photos --subset photos-parts/train.txt --size 64 …
      """)

  @Argument(help: "The set of pictures.")
  var data: String
  @Option(help: "Names and shares of the parts; the shares add up to at most 1.")
  var parts = "train=0.9,val=0.1"
  @Option(help: "A new or empty folder.")
  var out: String
  @OptionGroup var seeding: SeedOptions
  @OptionGroup var pictures: PictureOptions

  func run() throws {
    let parts = try parsedParts()
    let source = try pictures.open(data)
    let split = ImageSetSplit(source, parts, seed: seeding.seed ?? 0)
    try Preflight.requireEmptyOrNew(out)
    for (part, indices) in zip(parts, split.indices) {
      let names = indices.map { source.name($0) + "\n" }.joined()
      let path = "\(out)/\(part.name).txt"
      try Disk.local.writeAtomically(Array(names.utf8), to: path)
      try StandardOutput.write("\(path): \(indices.count) pictures\n")
    }
  }

  private func parsedParts() throws -> [ImageSetSplit.Part] {
    let found = try parts.split(separator: ",").map { text in
      let fields = text.split(separator: "=")
      guard fields.count == 2, let share = Double(fields[1]), share > 0, share <= 1,
        !fields[0].contains("/"), !fields[0].hasPrefix(".")
      else {
        throw UserError(
          .usage, "--parts", found: "\"\(text)\"", expected: "NAME=SHARE, a share of 0 to 1")
      }
      return ImageSetSplit.Part(name: String(fields[0]), share: share)
    }
    guard !found.isEmpty, Set(found.map(\.name)).count == found.count,
      found.reduce(0, { $0 + $1.share }) < 1 + 1e-9
    else {
      throw UserError(
        .usage, "--parts", found: "\"\(parts)\"",
        expected: "different names, and shares that add up to at most 1")
    }
    return found
  }
}
