import ArgumentParser
import Diagnostics
import FlowData
import FlowMetrics
import Foundation
import RunFormat
import Worker

/// `latentflow dataset judge`
struct JudgeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "judge",
    abstract: "Judges samples of the shapes set from their pixels.",
    discussion: """
      SAMPLES is a folder that `latentflow sample --out` wrote: the judge says which class each
      picture shows, or none, and counts those that show the class asked for. With --unguided and
      --reference it also compares distributions: the Fréchet distance of 512 samples to 512 real
      images over the distance between two disjoint 512s of real ones, on channel means of the
      autoencoder's middle block.

      Example:
        latentflow dataset judge runs/demo/guided --unguided runs/demo/unguided \\
          --reference data/shapes-heldout --autoencoder models/shapes-autoencoder \\
          --run runs/demo --grid runs/demo/grid.png --out runs/demo/summary.json
      """)

  /// Pictures on each side of a Fréchet distance.
  static let frechetCount = 512

  @Argument(help: "Folder of samples with labels.csv.")
  var samples: String
  @Option(help: "Folder of at least 512 samples drawn without guidance.")
  var unguided: String?
  @Option(help: "Image folder with at least 1,024 real images the model has not seen.")
  var reference: String?
  @Option(help: "The autoencoder whose features are compared.")
  var autoencoder: String?
  @Option(name: .customLong("run"), help: "The run folder, for training figures.")
  var runFolder: String?
  @Option(help: "The grid of samples, named in the summary.")
  var grid: String?
  @Option(help: "A file of the commands that made all this, a line each, for the summary.")
  var commands: String?
  @Option(help: "The sweep.json of a comparison of solvers, for the summary.")
  var sweep: String?
  @Option(help: "Write the summary here, as JSON.")
  var out: String?
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    let given = [unguided, reference, autoencoder].compactMap(\.self).count
    guard given == 0 || given == 3 else {
      throw ValidationError("--unguided, --reference and --autoencoder go together.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      guard job.isCoordinator else { return }
      var summary = DemoSummary()
      try judge(&summary)
      if let unguided, let reference, let autoencoder {
        let stage = try FirstStage.autoencoder(autoencoder)
        summary.frechetRatio = try frechetRatio(
          stage, samples: PreparedImages(ImageFolder(unguided)),
          real: PreparedImages(ImageFolder(reference)))
        summary.sampleImagesPerSecond = try record(of: unguided)?.imagesPerSecond
      }
      if let runFolder { try summary.addTraining(EventLog.read(runFolder + "/events.jsonl")) }
      if let sweep {
        guard let report = SweepReport.read(sweep) else {
          throw UserError(
            .missingInput, sweep, found: "no report", expected: "what `latentflow sweep` wrote")
        }
        summary.sweep = report
      }
      summary.grid = grid
      if let commands {
        try Preflight.requireFile(commands, "a file of commands")
        summary.commands = try String(contentsOfFile: commands, encoding: .utf8)
          .split(separator: "\n").map(String.init)
      }
      if let out { _ = try Disk.local.writeAtomically(Array(summary.json.utf8), to: out) }
      try StandardOutput.write(output.json ? summary.json : summary.text(file: out))
    }
  }

  private func judge(_ summary: inout DemoSummary) throws {
    let judge = ShapesJudge()
    for (file, asked) in try askedLabels() {
      let verdict = judge.judge(try ImageBuffer(contentsOf: samples + "/" + file))
      summary.verdicts.append(
        DemoSummary.Verdict(
          file: file, asked: ShapeClass(label: asked).description,
          seen: verdict.label.map { ShapeClass(label: $0).description } ?? "none",
          right: verdict.label == asked, reason: verdict.rejection?.rawValue))
    }
    summary.checkpointHash = try record(of: samples)?.modelHash
  }

  /// labels.csv: file,label
  private func askedLabels() throws -> [(file: String, label: Int)] {
    let path = samples + "/labels.csv"
    try Preflight.requireFile(path, "the labels of samples that `latentflow sample --out` wrote")
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropFirst()
    guard !lines.isEmpty else {
      throw UserError(.badData, path, found: "no samples", expected: "a line for each sample")
    }
    return try lines.enumerated().map { i, line in
      let cells = line.split(separator: ",")
      guard cells.count == 2, let label = Int(cells[1]), (0..<ShapeClass.count).contains(label)
      else {
        throw UserError(
          .badData, path, at: "line \(i + 2)", found: "«\(line)»",
          expected: "a file and a label from 0 to \(ShapeClass.count - 1)")
      }
      return (String(cells[0]), label)
    }
  }

  private func record(of folder: String) throws -> SamplingRecord? {
    guard let data = FileManager.default.contents(atPath: folder + "/samples.json") else {
      return nil
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(SamplingRecord.self, from: data)
  }

  private func frechetRatio(
    _ stage: FirstStage, samples: PreparedImages, real: PreparedImages
  ) throws -> Double {
    let n = Self.frechetCount
    for (folder, needed) in [(samples, n), (real, 2 * n)] where folder.count < needed {
      throw UserError(
        .badData, folder.path, found: "\(folder.count) images", expected: "at least \(needed)")
    }
    let drawn = try features(stage, samples, 0..<n)
    let first = try features(stage, real, 0..<n)
    let second = try features(stage, real, n..<2 * n)
    return frechetDistance(drawn, first) / frechetDistance(first, second)
  }

  private func features(
    _ stage: FirstStage, _ source: PreparedImages, _ range: Range<Int>
  ) throws -> FeatureMoments {
    let batch = FirstStage.batch
    var rows: [[Float]] = []
    for first in stride(from: range.lowerBound, to: range.upperBound, by: batch) {
      let images = try (first..<min(first + batch, range.upperBound)).map { try source.image($0) }
      guard let values = stage.features(tensor(of: images)) else {
        throw UserError(
          .usage, "--autoencoder", found: "a first stage without features",
          expected: "an autoencoder")
      }
      let d = values.shape[1]
      let all = values.values
      rows += (0..<images.count).map { Array(all[$0 * d..<($0 + 1) * d]) }
    }
    return FeatureMoments(rows)
  }
}

/// runs/demo/summary.json: what the demonstration reached, and how to get it again.
struct DemoSummary: Codable {
  struct Verdict: Codable {
    var file: String
    var asked: String
    var seen: String
    var right: Bool
    /// Why none is seen.
    var reason: String?
  }

  var frechetRatio: Double?
  var trainSeconds: Double?
  var trainImagesPerSecond: Double?
  var sampleImagesPerSecond: Double?
  var grid: String?
  var sweep: SweepReport?
  var checkpointHash: String?
  var commands: [String] = []
  var verdicts: [Verdict] = []
  var labelAccuracy: Double {
    Double(verdicts.count { $0.right }) / Double(max(1, verdicts.count))
  }

  /// «12 the outline is none of the four, 3 another class», the most frequent first.
  private var mistakes: String {
    let kinds = Dictionary(
      grouping: verdicts.filter { !$0.right }, by: { $0.reason ?? "another class" }
    ).mapValues(\.count)
    return kinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
  }

  private enum CodingKeys: String, CodingKey {
    case labelAccuracy, frechetRatio, trainSeconds, trainImagesPerSecond, sampleImagesPerSecond
    case grid, sweep, checkpointHash, commands, verdicts
  }

  init() {}

  init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    frechetRatio = try c.decodeIfPresent(Double.self, forKey: .frechetRatio)
    trainSeconds = try c.decodeIfPresent(Double.self, forKey: .trainSeconds)
    trainImagesPerSecond = try c.decodeIfPresent(Double.self, forKey: .trainImagesPerSecond)
    sampleImagesPerSecond = try c.decodeIfPresent(Double.self, forKey: .sampleImagesPerSecond)
    grid = try c.decodeIfPresent(String.self, forKey: .grid)
    sweep = try c.decodeIfPresent(SweepReport.self, forKey: .sweep)
    checkpointHash = try c.decodeIfPresent(String.self, forKey: .checkpointHash)
    commands = try c.decode([String].self, forKey: .commands)
    verdicts = try c.decode([Verdict].self, forKey: .verdicts)
  }

  func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(labelAccuracy, forKey: .labelAccuracy)
    try c.encodeIfPresent(frechetRatio, forKey: .frechetRatio)
    try c.encodeIfPresent(trainSeconds, forKey: .trainSeconds)
    try c.encodeIfPresent(trainImagesPerSecond, forKey: .trainImagesPerSecond)
    try c.encodeIfPresent(sampleImagesPerSecond, forKey: .sampleImagesPerSecond)
    try c.encodeIfPresent(grid, forKey: .grid)
    try c.encodeIfPresent(sweep, forKey: .sweep)
    try c.encodeIfPresent(checkpointHash, forKey: .checkpointHash)
    try c.encode(commands, forKey: .commands)
    try c.encode(verdicts, forKey: .verdicts)
  }

  /// Sums over the parts of a run that was interrupted.
  mutating func addTraining(_ events: [RunEvent]) {
    var (seconds, images) = (0.0, 0.0)
    for event in events where event.kind == "finished" || event.kind == "interrupted" {
      guard let part = event.fields["seconds"]?.number,
        let rate = event.fields["images_per_second"]?.number
      else { continue }
      seconds += part
      images += part * rate
    }
    guard seconds > 0 else { return }
    (trainSeconds, trainImagesPerSecond) = (seconds, images / seconds)
  }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}") + "\n"
  }

  func text(file: String?) -> String {
    var lines = [
      String(
        format: "label accuracy    %.1f %%  (%d of %d samples show the class asked for)",
        100 * labelAccuracy, verdicts.count { $0.right }, verdicts.count)
    ]
    if !mistakes.isEmpty { lines.append("not right         \(mistakes)") }
    if let frechetRatio {
      lines.append(
        String(
          format: "Fréchet ratio     %.2f  (samples to real, over real to real)", frechetRatio))
    }
    if let trainSeconds, let trainImagesPerSecond {
      lines.append(
        String(
          format: "training          %.0f s, %.0f images/s", trainSeconds, trainImagesPerSecond))
    }
    if let sampleImagesPerSecond {
      lines.append(String(format: "sampling          %.1f images/s", sampleImagesPerSecond))
    }
    if let grid { lines.append("pictures          \(grid)") }
    if let file { lines.append("all of it         \(file)") }
    let table = sweep.map { "\n\($0.text)" } ?? ""
    return lines.joined(separator: "\n") + "\n" + table
  }
}
