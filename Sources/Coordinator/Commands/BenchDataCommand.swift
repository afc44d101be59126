import ArgumentParser
import Diagnostics
import FlowData
import Foundation

/// `latentflow bench data`
struct BenchDataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "Pictures a second: decoded, scaled and cropped by one thread.",
    discussion: """
      Files are read into memory first. scripts/bench.sh data measures side by side with Pillow.

      Example:
        latentflow bench data photos --size 256 --crop torchvision
      """)

  @Argument(help: "The set of pictures.")
  var data: String
  @Option(help: "Passes over the set; the fastest counts.")
  var repetitions = 3
  @OptionGroup var fitting: FitOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard repetitions >= 1 else {
      throw ValidationError("--repetitions \(repetitions): expected at least 1.")
    }
  }

  func run() throws {
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
}
