import FlowData
import Foundation
import TestSupport
import Testing

/// A cache of zeros whose files take no room: headers, then holes.
private func makeSparseCache(_ folder: String, rows: Int) throws {
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  let d = LatentCacheDescription(
    count: rows, latentShape: [32, 32, 4], hasLogvar: true, hasFlips: false, hasLabels: true,
    classNames: (0..<16).map { "class \($0)" }, sourceFingerprint: "none", sourcePath: "nowhere",
    autoencoderHash: "identity", scaleFactor: 1)
  var shards: [[String: Any]] = []
  for (i, range) in d.shards.enumerated() {
    let (n, block) = (range.count, range.count * d.rowCount * 4)
    var header =
      "{\"labels\":{\"dtype\":\"I64\",\"shape\":[\(n)],\"data_offsets\":[0,\(8 * n)]},"
      + "\"logvar\":{\"dtype\":\"F32\",\"shape\":[\(n),32,32,4],"
      + "\"data_offsets\":[\(8 * n),\(8 * n + block)]},"
      + "\"mean\":{\"dtype\":\"F32\",\"shape\":[\(n),32,32,4],"
      + "\"data_offsets\":[\(8 * n + block),\(8 * n + 2 * block)]}}"
    header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
    let path = folder + "/shard-" + String(format: "%05d", i) + ".safetensors"
    try (length + Data(header.utf8)).write(to: URL(fileURLWithPath: path))
    let bytes = 8 + header.utf8.count + 8 * n + 2 * block
    try #require(truncate(path, off_t(bytes)) == 0)
    shards.append(["bytes": bytes, "sha256": String(repeating: "0", count: 64)])
  }
  let description = try JSONSerialization.jsonObject(with: JSONEncoder().encode(d))
  let zeros = [Double](repeating: 0, count: 4)
  let index: [String: Any] = [
    "format": 1, "description": description, "shards": shards, "channelMean": zeros,
    "channelDeviation": zeros,
  ]
  try JSONSerialization.data(withJSONObject: index)
    .write(to: URL(fileURLWithPath: folder + "/index.json"))
}

extension EndToEnd {
  @Suite(.serialized) struct SparseCache {
    /// Resident kB that belong to no file, of a training after 3, 30 and 100 steps.
    private func anonymous(_ cache: String, _ run: String) throws -> [Int] {
      let shell = """
        set -m
        run=$1
        shift
        "$@" 2>/dev/null & child=$!
        trap 'kill -9 $child; exit 1' TERM
        for rows in 3 30 100; do
          until [ "$(wc -l 2>/dev/null < "$run/metrics.csv" || echo 0)" -gt "$rows" ]; do
            kill -0 $child 2>/dev/null || exit 1
            sleep 0.005
          done
          grep RssAnon "/proc/$child/status" | tr -dc '0-9\\n'
        done
        kill -9 $child
        wait $child
        exit 0
        """
      let words = launch(
        1,
        try Workshop.shared.train(
          run, "data.cache=\(cache)", "model.patch=8", "training.steps=1000000",
          "checkpoint.every=0", "log.every=1000000", "--threads", "1"))
      let ended = try runProcess(
        "/usr/bin/env", ["bash", "-c", shell, "watch", run] + words,
        environment: launchEnvironment, timeout: 60)
      try #require(ended.status == 0, "\(ended)")
      return ended.stdout.split(whereSeparator: \.isNewline).compactMap { Int($0) }
    }

    @Test("memory does not grow with the cache: a million latents, 33 GB, beside a thousand")
    func memory() throws {
      let scratch = try Scratch()
      let (small, large) = ("\(scratch.path)/small", "\(scratch.path)/large")
      try makeSparseCache(small, rows: 1024)
      try makeSparseCache(large, rows: 1_000_000)
      let few = try anonymous(small, "\(scratch.path)/a")
      let many = try anonymous(large, "\(scratch.path)/b")
      try #require(few.count == 3 && many.count == 3)
      // Flat over the steps, and but for the order of an epoch, 8 bytes a row, and a mapping's
      // record a shard the same.
      #expect(abs(many[2] - many[0]) < 1024, "kB after 3, 30, 100 steps: \(many)")
      #expect(many[2] - few[2] < 8_000 + 4_000, "kB: \(many), of the small cache \(few)")
    }
  }
}
