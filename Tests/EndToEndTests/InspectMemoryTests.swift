import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// What `inspect` says that a rank needs, beside what it takes.
  @Suite(.serialized) struct InspectMemory {
    /// The largest resident set of a command, in bytes, as the kernel saw it last.
    private func peak(_ arguments: [String]) throws -> Double {
      let shell = """
        "$@" >/dev/null 2>&1 & child=$!
        trap 'kill -9 $child; exit 1' TERM
        while peak=$(grep VmHWM /proc/$child/status 2>/dev/null); do
          last=$peak
          sleep 0.002
        done
        wait $child || exit 1
        echo $last
        """
      let ended = try runProcess(
        "/usr/bin/env", ["bash", "-c", shell, "watch"] + launch(1, arguments),
        environment: launchEnvironment, timeout: 60)
      try #require(ended.status == 0, "\(ended)")
      let kilobytes = ended.stdout.split(separator: " ").compactMap { Double($0) }.first
      return 1024 * (try #require(kilobytes, "\(ended)"))
    }

    @Test("agrees with what a run takes, within a fifth")
    func agrees() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let trained = try peak(
        workshop.train(
          run, "model.width=256", "model.depth=4", "model.heads=4", "model.patch=1",
          "training.steps=1", "training.micro_batch=8", "training.micro_batches=2", "--threads",
          "1"))
      let sampled = try peak([
        "sample", run, "--count", "32", "--solver", "euler", "--steps", "1", "--grid",
        "\(scratch.path)/grid.png", "--threads", "1",
      ])
      let answer = try latentflow(["inspect", run, "--json"]).requireSuccess()
      let json = try JSONSerialization.jsonObject(with: Data(answer.output.utf8))
      let network = try #require((json as? [String: Any])?["network"] as? [String: Any])
      let training = try #require(network["trainingMemory"] as? Double)
      let sampling = try #require(network["samplingMemory"] as? Double)
      #expect((0.8...1.2).contains(training / trained), "\(training) estimated, \(trained) taken")
      #expect((0.8...1.2).contains(sampling / sampled), "\(sampling) estimated, \(sampled) taken")
    }
  }
}
