import ArgumentParser
import Diagnostics
import FlowData
import Foundation
import Worker

/// `latentflow bench data`
struct BenchDataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "Pictures a second by one thread, or rows of a latent cache a second.",
    discussion: """
      Pictures are read into memory first, then decoded, scaled and cropped; scripts/bench.sh data
      measures side by side with Pillow. Rows of a cache are read in random order, as training
      does, beside the steps of a DiT-S/2, which trains on them.

      Examples:
        latentflow bench data photos --size 256 --crop torchvision
        latentflow bench data data/shapes-latents
      """)

  @Argument(help: "The set of pictures, or a latent cache.")
  var data: String
  @Option(help: "Passes over the set; the fastest counts.")
  var repetitions = 3
  @OptionGroup var fitting: FitOptions
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard repetitions >= 1 else {
      throw ValidationError("--repetitions \(repetitions): expected at least 1.")
    }
  }

  func run() throws {
    guard FileManager.default.fileExists(atPath: "\(data)/\(LatentCacheIndex.fileName)") else {
      return try measurePictures()
    }
    try Job.run(threading) { _ in try measureRows() }
  }

  private func measurePictures() throws {
    let source = try openImageSource(data)
    let contents = try (0..<source.count).map { try source.contents($0) }
    let clock = ContinuousClock()
    var best = Double.infinity
    for _ in 0..<repetitions {
      let begin = clock.now
      for (i, content) in contents.enumerated() {
        let image = try content.decoded(name: source.place(i))
        if let fit = fitting.fit { _ = image.fitted(fit, index: i) }
      }
      best = min(best, (clock.now - begin).seconds)
    }
    let rate = Double(contents.count) / best
    if output.json {
      try StandardOutput.write("{\"images_per_second\": \(rate)}\n")
    } else {
      try StandardOutput.write(
        String(format: "%d pictures, %.1f images/s on one thread\n", contents.count, rate))
    }
  }

  /// What is measured of a cache.
  private struct RowsReport: Encodable {
    let rows: Int
    let rowsPerSecond: Double
    /// What training a DiT-S/2 on latents 32×32×4 takes.
    let trainingImagesPerSecond: Double
    let ratio: Double
    /// Memory of the process that is no file's, before and after the reading.
    let anonymousBytes: [Int]
  }

  private func measureRows() throws {
    let bench = try LatentRowsBenchmark(cache: data)
    let clock = ContinuousClock()
    func seconds(_ body: () throws -> Void) rethrows -> Double {
      let begin = clock.now
      try body()
      return (clock.now - begin).seconds
    }
    try bench.read(microBatches: 8)
    let before = try anonymousMemory()
    var rate = 0.0
    for _ in 0..<repetitions {
      let first = bench.rowsRead
      let time = try seconds {
        let begin = clock.now
        while (clock.now - begin).seconds < 1 { try bench.read(microBatches: 16) }
      }
      rate = max(rate, Double(bench.rowsRead - first) / time)
    }
    let after = try anonymousMemory()
    let network = DiTBenchmark(name: "DiT-S/2", batch: LatentRowsBenchmark.batch)!
    try network.step()
    let step = try (0..<repetitions).map { _ in try seconds { try network.step() } }.min()!
    let consumed = Double(network.batch) / step
    let report = RowsReport(
      rows: bench.cache.count, rowsPerSecond: rate, trainingImagesPerSecond: consumed,
      ratio: rate / consumed, anonymousBytes: [before, after])
    if output.json { return try StandardOutput.write(json: report) }
    try StandardOutput.write(
      String(
        format: "%d rows, %.0f rows/s in random order; DiT-S/2 trains %.2f images/s: %.0f times\n"
          + "anonymous memory %.1f MB before, %.1f MB after reading %d rows\n",
        report.rows, rate, consumed, report.ratio, Double(before) / 1e6, Double(after) / 1e6,
        bench.rowsRead))
  }

  /// Resident bytes of this process that belong to no file.
  private func anonymousMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
    guard let number = line?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
      throw UserError(.io, "/proc/self/status", found: "no RssAnon", expected: "a line of it")
    }
    return number * 1024
  }
}
