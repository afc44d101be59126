import Foundation
import TestSupport
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Memory {
    @Test(
      "after the second step a rank asks the system for no memory", arguments: [1, 2])
    func flat(_ ranks: Int) throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      // Looks at rank 0, whose process the lock names, after 2, 20 and 200 steps.
      let shell = """
        set -m
        run=$1
        shift
        "$@" 2>/dev/null & child=$!
        trap 'kill -9 $child; exit 1' TERM
        for rows in 2 20 200; do
          until [ "$(wc -l 2>/dev/null < "$run/metrics.csv" || echo 0)" -gt "$rows" ]; do
            kill -0 $child 2>/dev/null || exit 1
            sleep 0.005
          done
          process=$(cut -d' ' -f2 "$run/.lock")
          echo $(wc -l < /proc/$process/maps) $(grep VmData /proc/$process/status)
        done
        kill -9 $process
        wait $child
        exit 0
        """
      let words = launch(
        ranks,
        workshop.train(
          run, "training.steps=1000000", "checkpoint.every=0", "log.every=1000000", "--threads",
          "1"))
      let ended = try runProcess(
        "/usr/bin/env", ["bash", "-c", shell, "watch", run] + words,
        environment: launchEnvironment, timeout: 60)
      try #require(ended.status == 0, "\(ended)")
      let samples = ended.stdout.split(whereSeparator: \.isNewline)
      try #require(samples.count == 3, "\(ended)")
      // Mappings, and kB of heap and anonymous memory.
      #expect(samples.allSatisfy { $0.hasSuffix("kB") && $0 == samples[0] }, "\(samples)")
    }
  }
}
