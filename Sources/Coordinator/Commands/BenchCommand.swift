import ArgumentParser
import Diagnostics
import FlowTensor
import Foundation
import Glibc
import RunFormat
import Worker

/// `latentflow bench`
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures this machine: network passes and large products.",
    discussion: """
      scripts/bench.sh measures side by side with PyTorch.

      Example:
        latentflow bench dit --model DiT-S/2 --threads 2
      """,
    subcommands: [
      DiT.self, InceptionBenchCommand.self, BenchDataCommand.self, LargeImageBenchCommand.self,
    ])

  struct DiT: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "dit",
      abstract: "A published DiT on latents 4×32×32, batch 8: forward passes and training steps.",
      discussion: """
        With --server it reads «forward MODEL THREADS», «step MODEL THREADS», «gemm THREADS» and
        «memory» from standard input and answers each with one line of JSON.

        Example:
          latentflow bench dit --model DiT-B/2 --threads 1 --repetitions 5
        """)

    @Option(help: "DiT-S/2, DiT-B/2 …")
    var model = "DiT-S/2"
    @Option(help: "Timed repetitions; the median counts.")
    var repetitions = 5
    @Flag(help: "Answer commands from standard input.")
    var server = false
    @OptionGroup var threading: ThreadOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard repetitions >= 1 else {
        throw ValidationError("--repetitions \(repetitions): expected at least 1.")
      }
    }

    func run() throws {
      try Job.run(threading) { job in
        guard let work = DiTBenchmark(name: model) else {
          throw UserError(
            .usage, "--model", found: model, expected: "DiT-S/2, DiT-B/2, DiT-L/2, DiT-XL/2 …")
        }
        server ? try serve(work, job) : try report(work, job)
      }
    }

    private func serve(_ work: DiTBenchmark, _ job: Job) throws {
      let gemm = GemmBenchmark()
      while let line = readLine() {
        let words = line.split(separator: " ").map(String.init)
        let answer: String
        switch words.first {
        case "forward": answer = "{\"seconds\": \(measure { work.forward() })}"
        case "step": answer = "{\"seconds\": \(try measure { try work.step() })}"
        case "gemm":
          answer = "{\"gflops\": \(GemmBenchmark.flops / measure { gemm.run() } * 1e-9)}"
        case "memory": answer = "{\"peak_bytes\": \(peakMemory())}"
        default:
          throw UserError(
            .usage, "standard input", found: "«\(line)»",
            expected: "forward, step, gemm or memory")
        }
        try StandardOutput.write(answer + "\n")
      }
    }

    private func report(_ work: DiTBenchmark, _ job: Job) throws {
      let gemm = GemmBenchmark()
      func median(_ body: () throws -> Void) rethrows -> Double {
        for _ in 0..<2 { try body() }
        return try (0..<repetitions).map { _ in try measure(body) }.sorted()[repetitions / 2]
      }
      let rate = GemmBenchmark.flops / median { gemm.run() } * 1e-9
      let forward = median { work.forward() }
      let step = try median { try work.step() }
      let flops = work.specification.flopsPerSample * Double(work.batch) * 1e-9
      if output.json {
        try StandardOutput.write(
          "{\"model\": \"\(model)\", \"threads\": \(job.threads), \"gemm_gflops\": \(rate), "
            + "\"forward_seconds\": \(forward), \"step_seconds\": \(step), "
            + "\"peak_bytes\": \(peakMemory())}\n")
        return
      }
      var text =
        "\(model), batch \(work.batch), \(job.threads) threads; medians of \(repetitions)\n"
      text += String(format: "product of 2048²   %8.1f GFLOP/s\n", rate)
      for (name, seconds, work) in [("forward", forward, flops), ("step", step, 3 * flops)] {
        text += String(
          format: "%@ %8.3f s  %7.2f images/s  %7.1f GFLOP/s  %3.0f %% of the product\n",
          name.padding(toLength: 10, withPad: " ", startingAt: 0), seconds, 8 / seconds,
          work / seconds, 100 * work / seconds / rate)
      }
      text += String(format: "peak memory %.2f GB\n", Double(peakMemory()) * 1e-9)
      try StandardOutput.write(text)
    }

    private func measure(_ body: () throws -> Void) rethrows -> Double {
      let clock = ContinuousClock()
      let begin = clock.now
      try body()
      return (clock.now - begin).seconds
    }

    /// Largest resident size of this process so far, bytes.
    private func peakMemory() -> Int {
      var usage = rusage()
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss * 1024
    }
  }
}
