import ArgumentParser
import Diagnostics
import FlowMetrics
import Foundation
import Worker

/// `latentflow bench inception`
struct InceptionBenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inception",
    abstract: "FID's Inception network on images of 256×256: images per second, and what the "
      + "moments and the distance of 50,000 images add.",
    discussion: """
      With --server it reads «forward» from standard input and answers each with one line of JSON.
      Benchmarks/inception.py measures side by side with PyTorch.

      Example:
        latentflow bench inception --batch 16 --threads 2
      """)

  @Option(help: "Images per pass.")
  var batch = 16
  @Option(help: "Timed repetitions; the median counts.")
  var repetitions = 5
  @Flag(help: "Answer commands from standard input.")
  var server = false
  @OptionGroup var threading: ThreadOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard repetitions >= 1, batch >= 1 else {
      throw ValidationError("--repetitions and --batch: expected at least 1.")
    }
  }

  func run() throws {
    try Job.run(threading) { job in
      let work = try InceptionBenchmark(batch: batch)
      server ? try serve(work) : try report(work, job)
    }
  }

  private func serve(_ work: InceptionBenchmark) throws {
    while let line = readLine() {
      guard line.split(separator: " ").first == "forward" else {
        throw UserError(.usage, "standard input", found: "«\(line)»", expected: "forward")
      }
      try StandardOutput.write("{\"seconds\": \(seconds(of: work))}\n")
    }
  }

  private func report(_ work: InceptionBenchmark, _ job: Job) throws {
    for _ in 0..<2 { work.features() }
    let median = (0..<repetitions).map { _ in seconds(of: work) }.sorted()[repetitions / 2]
    let rate = Double(batch) / median
    let count = 50_000
    let features = Double(count) / rate
    let reference = InceptionBenchmark.moments(of: 4_096, seed: 1)
    var found = reference
    let moments = measure { found = InceptionBenchmark.moments(of: count, seed: 2) }
    let distance = measure { _ = frechetDistance(found, reference) }
    let share = (moments + distance) / features
    try StandardOutput.write(
      output.json
        ? "{\"batch\": \(batch), \"threads\": \(job.threads), \"seconds\": \(median), "
          + "\"images_per_second\": \(rate), \"moments_seconds\": \(moments), "
          + "\"distance_seconds\": \(distance), \"share_of_features\": \(share)}\n"
        : String(
          format: "batch %d, %d threads: %.3f s, %.2f images/s; median of %d\n"
            + "of %d images: features %.0f s, moments %.1f s, Fréchet distance %.1f s (%.2f %%)\n",
          batch, job.threads, median, rate, repetitions, count, features, moments, distance,
          100 * share))
  }

  private func seconds(of work: InceptionBenchmark) -> Double { measure { work.features() } }

  private func measure(_ body: () -> Void) -> Double {
    let clock = ContinuousClock()
    let begin = clock.now
    body()
    return (clock.now - begin).seconds
  }
}
