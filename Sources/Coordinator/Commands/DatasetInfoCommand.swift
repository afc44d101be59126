import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import Synchronization

/// `latentflow dataset info`
struct DatasetInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Counts pictures, classes and sizes, and lists what cannot be read and why.",
    discussion: """
      Sets: a folder, or another form as KIND:PATH#PART (docs/data.md).

      Example:
        latentflow dataset info photos
        latentflow dataset info 'shards/train-{000000..000010}.tar' --json
        latentflow dataset info lmdb:celeba#validation --headers
      """)

  @Argument(help: "The set of pictures.")
  var data: String
  @Flag(help: "Read only the headers: fast, but damage further inside goes unseen.")
  var headers = false
  @OptionGroup var pictures: PictureOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let source = try pictures.open(data)
    let report = try examine(source, threads: threading.count(ranksOnNode: 1))
    if output.json {
      try StandardOutput.write(json: Summary(data, source, report))
    } else {
      try StandardOutput.write(text(source, report))
    }
  }

  /// Each thread takes every k-th piece of the set; the pieces add up in their order.
  private func examine(_ source: any ImageSource, threads: Int) throws -> ImageSetReport {
    let piece = 256
    let pieces = (source.count + piece - 1) / piece
    let workers = max(1, min(threads, pieces))
    let results = Mutex<[Int: Result<ImageSetReport, any Error>]>([:])
    let decoding = !headers
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for k in stride(from: worker, to: pieces, by: workers) {
        let range = k * piece..<min((k + 1) * piece, source.count)
        let result = Result { try ImageSetReport(source, range, decoding: decoding) }
        results.withLock { $0[k] = result }
      }
    }
    var whole = ImageSetReport(classCount: source.classCount ?? 0)
    let found = results.withLock { $0 }
    for k in 0..<pieces { try whole.add(found[k]!.get()) }
    return whole
  }

  private func text(_ source: any ImageSource, _ report: ImageSetReport) -> String {
    let bytes = String(format: "%.1f MB", Double(source.storedBytes) / 1e6)
    var text = "\(data): \(report.pictures) pictures, \(bytes)\n"
    if let masked = source as? any MaskedImageSource {
      text += "label maps of \(masked.maskClasses) classes\n"
    }
    let ranked = report.rankedSizes
    var sizes = TextTable(rightAligned: [1])
    for (size, count) in ranked.prefix(8) {
      sizes.append("\(size.width)×\(size.height)", "\(count)")
    }
    text += "\(ranked.count) sizes\n" + sizes.text(indent: 2)
    if ranked.count > 8 { text += "  …\n" }
    if let names = source.classNames {
      var classes = TextTable(rightAligned: [0, 2])
      for (label, name) in names.enumerated() {
        classes.append("\(label)", name, "\(report.classes[label])")
      }
      text += "\(names.count) classes\n" + classes.text(indent: 2)
    } else {
      text += "no labels\n"
    }
    text += "\(report.broken.count) broken\n"
    for picture in report.broken {
      text += "  \(picture.reason.replacingOccurrences(of: "\n", with: "\n  "))\n"
    }
    return text
  }

  /// What `--json` prints.
  private struct Summary: Encodable {
    struct Class: Encodable {
      var name: String
      var count: Int
    }
    struct Size: Encodable {
      var width, height, count: Int
    }
    var data: String
    var pictures: Int
    var bytes: Int
    var classes: [Class]?
    var maskClasses: Int?
    var sizes: [Size]
    var broken: [BrokenPicture]

    init(_ data: String, _ source: any ImageSource, _ report: ImageSetReport) {
      self.data = data
      pictures = report.pictures
      bytes = source.storedBytes
      classes = source.classNames.map { names in
        zip(names, report.classes).map { Class(name: $0, count: $1) }
      }
      maskClasses = (source as? any MaskedImageSource)?.maskClasses
      sizes = report.rankedSizes.map {
        Size(width: $0.size.width, height: $0.size.height, count: $0.count)
      }
      broken = report.broken
    }
  }
}
