import Foundation
import TestSupport
import Testing

/// All suites of this target, one after another: each starts programs on all cores.
@Suite(.serialized) enum EndToEnd {}

/// What a command left behind.
struct Outcome: CustomStringConvertible {
  let status: Int32
  let output: String
  let errors: String
  let seconds: Double

  /// Messages of the form that every failure has.
  var errorLines: [Substring] {
    errors.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("error:") }
  }

  var description: String { "status \(status) after \(seconds) s\n\(output)\(errors)" }
}

/// A folder with a small image set, caches of it and a configuration, made once for all suites.
final class Workshop: Sendable {
  let path: String

  private static let made = Result { try Workshop() }
  static var shared: Workshop { get throws { try made.get() } }

  static let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
  static let autoencoder = "\(repository)/models/shapes-autoencoder"

  var images: String { "\(path)/shapes" }
  /// 96 images as pixels, 16×16×3.
  var pixels: String { "\(path)/pixels" }
  var config: String { "\(path)/tiny.yaml" }

  private init() throws {
    path = try makeFolder()
    // Removed when the process ends: tests of several suites read it.
    leftovers.withLock { $0.append(path) }
    atexit { leftovers.withLock { $0.forEach { try? FileManager.default.removeItem(atPath: $0) } } }
    try Self.text.replacing("CACHE", with: "\(path)/pixels")
      .write(toFile: "\(path)/tiny.yaml", atomically: true, encoding: .utf8)
    try latentflow(["dataset", "shapes", "--out", images, "--count", "96", "--size", "32"])
      .requireSuccess()
    try latentflow(["encode", images, "--identity", "--size", "16", "--out", pixels])
      .requireSuccess()
  }

  private static let text = """
    seed: 3
    model: { width: 32, depth: 2, heads: 2, patch: 4, classes: 16, label_dropout: 0.1 }
    first_stage: { kind: identity }
    data: { cache: CACHE }
    training: { steps: 20, micro_batch: 2, micro_batches: 4 }
    schedule: { kind: cosine, warmup: 4 }
    ema: { decay: 0.9 }
    checkpoint: { every: 5, keep: 4 }
    log: { every: 1, tensorboard: false }
    """

  /// `train` with the workshop's configuration.
  func train(_ run: String, _ arguments: String...) -> [String] {
    ["train", config, "--run", run] + arguments
  }
}

private let leftovers = Locked<[String]>([])

/// A value behind a lock.
final class Locked<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    lock.withLock { body(&value) }
  }
}

/// A folder of one test, removed with it.
final class Scratch: Sendable {
  let path: String

  init() throws { path = try makeFolder() }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A copy of a file or folder under the same name.
  func copy(_ source: String) throws -> String {
    let target = "\(path)/\((source as NSString).lastPathComponent)"
    try FileManager.default.copyItem(atPath: source, toPath: target)
    return target
  }
}

private func makeFolder() throws -> String {
  let path = NSTemporaryDirectory() + "latentflow-end-to-end-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}

/// The words that start the built `latentflow` on `ranks` ranks with one thread each.
func launch(_ ranks: Int, _ arguments: [String]) -> [String] {
  let program = [productPath("latentflow")] + arguments
  guard ranks > 1 else { return program }
  return ["mpirun", "-q", "-np", "\(ranks)", "--bind-to", "none", "--oversubscribe"] + program
}

/// Also as root, in containers without cross-memory attach, and on fewer cores than ranks.
let launchEnvironment = [
  "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
  "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_mpi_yield_when_idle": "1",
  "OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false", "OMP_WAIT_POLICY": "passive",
]

private let threadedCommands: Set<String> = [
  "train", "encode", "sample", "evaluate", "statistics", "sweep", "bound",
  "verify", "validate", "upscale", "inpaint", "evaluate-inpainting", "synthesize",
]

/// Runs the built `latentflow`; the arguments get `--threads 1` where the command takes it.
@discardableResult
func latentflow(
  _ arguments: [String], ranks: Int = 1, environment: [String: String] = [:],
  under wrapper: [String] = []
) throws -> Outcome {
  let threaded = threadedCommands.contains(arguments[0]) ? ["--threads", "1"] : []
  let clock = ContinuousClock()
  let start = clock.now
  let run = try runProcess(
    "/usr/bin/env", wrapper + launch(ranks, arguments + threaded),
    environment: launchEnvironment.merging(environment) { $1 }, timeout: 60)
  let time = (clock.now - start).components
  return Outcome(
    status: run.status, output: run.stdout, errors: run.stderr,
    seconds: Double(time.seconds) + Double(time.attoseconds) * 1e-18)
}

extension Outcome {
  @discardableResult
  func requireSuccess(_ location: SourceLocation = #_sourceLocation) throws -> Outcome {
    try #require(status == 0, "\(self)", sourceLocation: location)
    return self
  }
}

/// What a safetensors file holds behind its header, whose metadata name the run.
func tensorBytes(_ path: String) throws -> Data {
  let data = try Data(contentsOf: URL(fileURLWithPath: path))
  let header = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
  try #require(data.count > 8 + header)
  return data.dropFirst(8 + header)
}

/// The files of a folder, hidden ones left out, with their contents.
func contents(of folder: String) throws -> [String: Data] {
  let names = try FileManager.default.contentsOfDirectory(atPath: folder)
  return try names.filter { !$0.hasPrefix(".") }.reduce(into: [:]) {
    $0[$1] = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($1)"))
  }
}

/// What a training run came to, as far as the number of ranks must not show in it.
struct TrainedBits: Equatable {
  var model: Data
  var average: Data
  /// Step, loss, gradient norm, learning rate and skipped of each row.
  var metrics: [[Substring]]

  init(run: String, step: Int) throws {
    let checkpoint = "\(run)/checkpoints/step-" + String(format: "%08d", step)
    model = try tensorBytes("\(checkpoint)/model.safetensors")
    average = try tensorBytes("\(checkpoint)/ema.safetensors")
    metrics = try metricRows(run).map { Array($0[..<4] + $0[5...]) }
  }

  /// For a message: which part differs.
  func difference(from other: TrainedBits) -> String {
    let row = zip(metrics, other.metrics).first { $0 != $1 }
    return "model \(model == other.model), average \(average == other.average), rows "
      + "\(metrics.count) and \(other.metrics.count), first other row \(row.map { "\($0)" } ?? "-")"
  }
}

/// metrics.csv without its header.
func metricRows(_ run: String) throws -> [[Substring]] {
  let text = try String(contentsOfFile: "\(run)/metrics.csv", encoding: .utf8)
  return text.split(whereSeparator: \.isNewline).dropFirst().map {
    $0.split(separator: ",", omittingEmptySubsequences: false)
  }
}
