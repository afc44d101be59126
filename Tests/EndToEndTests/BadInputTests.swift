import FlowData
import Foundation
import TestSupport
import Testing

extension EndToEnd {
  @Suite(.serialized) struct BadInputs {
    /// Seconds within which every rank has ended.
    static let patience = 5.0
    /// What else the machine does delays a launch, but hardly this often.
    static let tries = 4

    @Test(
      "ends at once on all ranks with one message and the documented exit code",
      arguments: BadInput.all)
    func table(_ row: BadInput) throws {
      for ranks in row.ranks {
        let scratch = try Scratch()
        let command = try row.command(scratch)
        let ended = try latentflow(command, ranks: ranks, under: try row.wrapper(scratch))
        #expect(ended.status == row.status, "\(ranks) ranks: \(ended)")
        #expect(ended.errorLines.count == 1, "\(ranks) ranks: \(ended)")
        for mention in row.mentions {
          let text = mention.replacing("{}", with: scratch.path)
          #expect(ended.errors.contains(text), "no «\(text)» in \(ended)")
        }
        #expect(ended.errors.contains("(exit \(row.status))"), "\(ended)")
        // Neither the launcher nor the language's run-time adds to it.
        for noise in [
          "mpirun noticed", "mpirun detected", "MPI_ABORT", "Fatal error", "Backtrace",
          "Error Domain",
        ] {
          #expect(!ended.errors.contains(noise), "\(ended)")
        }
        var seconds = [ended.seconds]
        while seconds.last! >= Self.patience && seconds.count < Self.tries {
          let scratch = try Scratch()
          seconds.append(
            try latentflow(
              row.command(scratch), ranks: ranks, under: row.wrapper(scratch)).seconds)
        }
        #expect(seconds.last! < Self.patience, "\(ranks) ranks: \(seconds)")
        print("bad input: \(row.name), \(ranks) ranks: \(Int(ended.seconds * 1000)) ms")
      }
    }

    @Test("tasks that srun started without PMI are refused, each by itself")
    func alone() throws {
      let scratch = try Scratch()
      for rank in ["0", "1"] {
        let ended = try latentflow(
          try Workshop.shared.train("\(scratch.path)/run"),
          environment: ["SLURM_NTASKS": "2", "SLURM_PROCID": rank, "SLURM_STEP_ID": "0"])
        #expect(ended.status == 64 && ended.errorLines.count == 1, "\(ended)")
        #expect(ended.errors.contains("2 tasks were started, and MPI sees one rank"))
      }
      #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/run"))
    }

    @Test("a run that could not start does not stand in the way of its correction")
    func correction() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      #expect(try latentflow(workshop.train(run, "training.micro_batch=32")).status == 78)
      try latentflow(workshop.train(run)).requireSuccess()
    }

    @Test("a cache whose images are gone is as good as ever")
    func imagesGone() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let images = try scratch.copy(workshop.images)
      let cache = "\(scratch.path)/cache"
      try latentflow(["encode", images, "--identity", "--size", "16", "--out", cache])
        .requireSuccess()
      try FileManager.default.removeItem(atPath: images)
      try latentflow(workshop.train("\(scratch.path)/run", "data.cache=\(cache)"))
        .requireSuccess()
    }

    @Test("grey, palette, RGBA, CMYK, links and hidden files become latents or stay out")
    func kinds() throws {
      let scratch = try Scratch()
      let folder = "\(scratch.path)/album"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let files = "\(Workshop.repository)/Tests/Fixtures/files"
      let names = [
        "image_gray8.png", "image_gray16.png", "image_gray_alpha8.png", "image_palette4.png",
        "image_rgba8.png", "image_cmyk.jpg", "image_gray.jpg", "image_exif_rotated.jpg",
        "image_rgb8_1x1.png",
      ]
      for name in names {
        try FileManager.default.copyItem(atPath: "\(files)/\(name)", toPath: "\(folder)/\(name)")
      }
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/link.png", withDestinationPath: "image_gray8.png")
      try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/.hidden.png"))
      let cache = "\(scratch.path)/cache"
      let ended = try latentflow(
        ["encode", folder, "--identity", "--size", "16", "--out", cache], ranks: 2)
      #expect(ended.status == 0, "\(ended)")
      #expect(ended.output.hasPrefix("\(names.count + 1) latents of 16×16×3"), "\(ended)")
    }

    @Test("a row that is not a number: all ranks skip the same steps, count them and go on")
    func skipped() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let cache = try scratch.copy(workshop.pixels)
      try spoilFirstRow(of: "\(cache)/shard-00000.safetensors")
      var bits: [TrainedBits] = []
      for ranks in [1, 2, 4] {
        let run = "\(scratch.path)/run-\(ranks)"
        try latentflow(workshop.train(run, "data.cache=\(cache)"), ranks: ranks).requireSuccess()
        bits.append(try TrainedBits(run: run, step: 20))
      }
      // 12 steps are an epoch: once in the first, at most once in what 20 steps leave of the next.
      let skipped = bits[0].metrics.filter { $0.last == "1.0" }
      #expect((1...2).contains(skipped.count), "\(skipped)")
      #expect(bits[1] == bits[0], "\(bits[1].difference(from: bits[0]))")
      #expect(bits[2] == bits[0], "\(bits[2].difference(from: bits[0]))")
    }

    @Test(
      "a reader that goes away stops neither the training nor the exit status", arguments: [1, 2])
    func closedPipe(_ ranks: Int) throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      // mpirun itself does not outlive its reader: the script does.
      let words =
        [Interruption.script, "\(ranks)", productPath("latentflow")]
        + workshop.train(run, "--threads", "1")
      let ended = try runProcess(
        "/usr/bin/env",
        ["bash", "-c", "set -o pipefail; \"$@\" 2>&1 | head -n 1", "pipe"] + words,
        environment: launchEnvironment, timeout: 60)
      #expect(ended.status == 0, "\(ended)")
      #expect(try metricRows(run).count == 20)
    }

    @Test("a processor without AVX gives the same training within rounding")
    func oldProcessor() throws {
      let workshop = try Workshop.shared
      let scratch = try Scratch()
      let old = [
        "ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem",
      ]
      var losses: [[Double]] = []
      for (name, environment) in [("new", [:]), ("old", old)] {
        let run = "\(scratch.path)/\(name)"
        try latentflow(workshop.train(run, "training.steps=3"), environment: environment)
          .requireSuccess()
        losses.append(try metricRows(run).map { Double($0[1]) ?? .nan })
      }
      #expect(losses[0].count == 3 && losses[1].count == 3)
      for (new, old) in zip(losses[0], losses[1]) {
        #expect(abs(new - old) < 1e-3 * new, "\(new) and \(old)")
      }
    }
  }
}

/// The first value of the tensor `mean` becomes NaN.
private func spoilFirstRow(of shard: String) throws {
  var data = try Data(contentsOf: URL(fileURLWithPath: shard))
  let length = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
  let header =
    try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: Any]
  let mean = try #require(header?["mean"] as? [String: Any])
  let offset = try #require((mean["data_offsets"] as? [Int])?.first) + 8 + length
  data.replaceSubrange(
    offset..<offset + 4, with: withUnsafeBytes(of: Float.nan.bitPattern) { Data($0) })
  try data.write(to: URL(fileURLWithPath: shard))
}
