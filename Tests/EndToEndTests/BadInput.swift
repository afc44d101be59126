import FlowData
import Foundation
import Testing

/// One thing that can be wrong with the world, and what the command must say about it.
struct BadInput: Sendable, CustomTestStringConvertible {
  let name: String
  /// The documented exit code.
  let status: Int32
  /// What the message names: file, field or offset, what was found and what was expected.
  /// `{}` stands for the folder of the test.
  let mentions: [String]
  var ranks = [1, 2]
  /// Words before the launcher's: the state of the world that a shell can give.
  var wrapper: @Sendable (Scratch) throws -> [String] = { _ in [] }
  /// Prepares the folder of the test and returns the command.
  let command: @Sendable (Scratch) throws -> [String]

  var testDescription: String { name }

  init(
    _ name: String, _ status: Int32, _ mentions: [String], ranks: [Int] = [1, 2],
    under wrapper: @escaping @Sendable (Scratch) throws -> [String] = { _ in [] },
    _ command: @escaping @Sendable (Scratch) throws -> [String]
  ) {
    (self.name, self.status, self.mentions, self.ranks) = (name, status, mentions, ranks)
    (self.wrapper, self.command) = (wrapper, command)
  }

  static let all =
    configurations + runFolders + caches + pictures + sampling + upscaling + references + disks
    + labelMaps
}

private let fixtures = "\(Workshop.repository)/Tests/Fixtures/files"

private func train(_ scratch: Scratch, _ more: String...) throws -> [String] {
  try Workshop.shared.train("\(scratch.path)/run") + more
}

/// `encode` of a folder of the test.
private func encode(_ scratch: Scratch, _ folder: String, size: Bool = true) -> [String] {
  ["encode", folder, "--identity", "--out", "\(scratch.path)/cache"]
    + (size ? ["--size", "16"] : [])
}

/// A folder with pictures of the fixtures, each under a name of its own.
private func album(_ scratch: Scratch, _ pictures: [String: String]) throws -> String {
  let folder = "\(scratch.path)/album"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  for (name, source) in pictures {
    try FileManager.default.copyItem(atPath: "\(fixtures)/\(source)", toPath: "\(folder)/\(name)")
  }
  return folder
}

extension BadInput {
  private static let configurations = [
    BadInput(
      "micro-batches not a power of two", 78, ["training.micro_batches", "found 6", "power of two"]
    ) { try train($0, "training.micro_batches=6") },
    BadInput(
      "a batch larger than the data set", 78,
      ["96 samples for a batch of 128", "at least one batch"]
    ) { try train($0, "training.micro_batch=32") },
    BadInput(
      "more ranks than micro-batches", 78,
      ["2 ranks for 1 micro-batches", "a power of two, at most 1"], ranks: [2]
    ) { try train($0, "training.micro_batches=1") },
    BadInput(
      "a number of ranks that does not divide the micro-batches", 78,
      ["3 ranks for 4 micro-batches", "a power of two, at most 4"], ranks: [3]
    ) { try train($0) },
    BadInput(
      "an unknown key", 78, ["unknown key optimizer.lrr", "did you mean optimizer.lr?"]
    ) { try train($0, "optimizer.lrr=2") },
    BadInput("an unknown key of the file", 78, ["{}/typo.yaml:1:1", "did you mean seed?"]) {
      try "sede: 1\n".write(
        toFile: "\($0.path)/typo.yaml", atomically: true, encoding: .utf8)
      return ["train", "\($0.path)/typo.yaml", "--run", "\($0.path)/run"]
    },
    BadInput("a patch that does not divide the latents", 78, ["model.patch", "divisor of 16"]) {
      try train($0, "model.patch=5")
    },
    BadInput("fewer classes than the cache has", 78, ["model.classes", "8", "16 classes"]) {
      try train($0, "model.classes=8")
    },
    BadInput(
      "gradients that stay infinite", 65,
      ["training, step 6", "not finite 5 steps in a row", "training.max_nonfinite"]
    ) { try train($0, "optimizer.lr=1e30", "schedule.warmup=0", "training.clip=null") },
  ]

  private static let runFolders = [
    BadInput("a run folder under a file", 74, ["tiny.yaml/run: cannot be made, Not a directory"]) {
      _ in try Workshop.shared.train(try Workshop.shared.config + "/run")
    },
    BadInput("a run folder where nobody may write", 74, ["/proc/run: cannot be made"]) {
      _ in try Workshop.shared.train("/proc/run")
    },
    BadInput(
      "a run folder that another process holds", 74, ["{}/run", "writes into this run folder"],
      under: {
        try FileManager.default.createDirectory(
          atPath: "\($0.path)/run", withIntermediateDirectories: true)
        return ["flock", "\($0.path)/run/.lock"]
      }
    ) { try train($0) },
    BadInput(
      "a changed configuration", 78, ["{}/run", "optimizer.lr: 0.001 → 0.002"]
    ) {
      _ = try $0.copy(try Trained.run)
      return try train($0, "optimizer.lr=2e-3")
    },
    BadInput(
      "no good checkpoint", 65,
      [
        "{}/run/checkpoints: no good checkpoint among 4", "step-00000005", "step-00000020",
        "SHA-256",
      ]
    ) {
      let run = try $0.copy(try Trained.run)
      for step in ["05", "10", "15", "20"] {
        try damage("\(run)/checkpoints/step-000000\(step)/model.safetensors")
      }
      return try train($0)
    },
    BadInput(
      "a damaged checkpoint that was asked for", 65, ["step-00000020/ema.safetensors", "SHA-256"]
    ) {
      let run = try $0.copy(try Trained.run)
      try damage("\(run)/checkpoints/step-00000020/ema.safetensors")
      return try train($0, "--resume", "\(run)/checkpoints/step-00000020")
    },
    BadInput(
      "a checkpoint of another width", 65,
      [
        "model.safetensors", "31 of another shape",
        "blocks.0.attn.qkv.weight            [192, 64]      [96, 32]",
      ]
    ) {
      try train(
        $0, "model.width=64", "--resume", try Trained.run + "/checkpoints/step-00000020")
    },
    BadInput("a checkpoint that is not there", 66, ["{}/none", "a checkpoint folder"]) {
      try train($0, "--resume", "\($0.path)/none")
    },
    BadInput("a new run in an old folder", 64, ["{}/run: a run has begun in this folder"]) {
      _ = try $0.copy(try Trained.run)
      return try train($0, "--resume", "never")
    },
  ]

  private static let caches = [
    BadInput("no cache", 66, ["{}/none: no index.json", "a finished latent cache"]) {
      try train($0, "data.cache=\($0.path)/none")
    },
    BadInput("a cache of another autoencoder", 65, ["autoencoder: made by identity", "expected"]) {
      try train(
        $0, "first_stage.kind=autoencoder", "first_stage.path=\(Workshop.autoencoder)")
    },
    BadInput("a cache whose images have changed", 65, ["{}/pixels, images: made from", "/shapes"]) {
      let images = try $0.copy(try Workshop.shared.images)
      let cache = "\($0.path)/pixels"
      try latentflow(["encode", images, "--identity", "--size", "16", "--out", cache])
        .requireSuccess()
      let first = "\(images)/images/000000.png"
      try FileManager.default.removeItem(atPath: first)
      try FileManager.default.copyItem(atPath: "\(images)/images/000001.png", toPath: first)
      return try train($0, "data.cache=\(cache)")
    },
    BadInput("a cache that was cut short", 65, ["{}/pixels/shard-00000.safetensors", "bytes"]) {
      let cache = try $0.copy(try Workshop.shared.pixels)
      let shard = "\(cache)/shard-00000.safetensors"
      try Data(contentsOf: URL(fileURLWithPath: shard)).dropLast(100)
        .write(to: URL(fileURLWithPath: shard))
      return try train($0, "data.cache=\(cache)")
    },
  ]

  private static let pictures = [
    BadInput("no folder of images", 66, ["{}/none: no such file or folder", "expected pictures"]) {
      encode($0, "\($0.path)/none")
    },
    BadInput("no images", 65, ["{}/album: no images", "1 other", "PNG, JPEG or WebP files"]) {
      let folder = try album($0, ["a.txt": "image_rgb8.png", ".hidden.png": "image_rgb8.png"])
      return encode($0, folder)
    },
    BadInput("a truncated PNG", 65, ["{}/shapes/images/000050.png, byte 100", "more bytes"]) {
      let images = try $0.copy(try Workshop.shared.images)
      let file = URL(fileURLWithPath: "\(images)/images/000050.png")
      try Data(contentsOf: file).prefix(100).write(to: file)
      return encode($0, images)
    },
    BadInput("a truncated JPEG", 65, ["{}/album/b.jpg"]) {
      encode($0, try album($0, ["a.jpg": "image_rgb444.jpg", "b.jpg": "bad_jpeg_truncated.jpg"]))
    },
    BadInput("an empty picture", 65, ["{}/album/b.png"]) {
      let folder = try album($0, ["a.png": "image_rgb8.png"])
      try Data().write(to: URL(fileURLWithPath: "\(folder)/b.png"))
      return encode($0, folder)
    },
    BadInput("a link to nothing", 65, ["{}/album/b.png", "a link to nothing"]) {
      let folder = try album($0, ["a.png": "image_rgb8.png"])
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/b.png", withDestinationPath: "nowhere.png")
      return encode($0, folder)
    },
    BadInput("mixed sizes without --size", 65, ["{}/album/b.png", "1×1", "--size"]) {
      let folder = try album($0, ["a.png": "image_rgb8.png", "b.png": "image_rgb8_1x1.png"])
      return encode($0, folder, size: false)
    },
    BadInput("a label too few", 65, ["{}/shapes/labels.csv", "95 labels for 96 images"]) {
      let images = try $0.copy(try Workshop.shared.images)
      let path = "\(images)/labels.csv"
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      try lines.dropLast().map { $0 + "\n" }.joined()
        .write(toFile: path, atomically: true, encoding: .utf8)
      return encode($0, images)
    },
    BadInput("a label out of range", 65, ["{}/shapes/labels.csv, line 2", "label 16", "0 to 15"]) {
      let images = try $0.copy(try Workshop.shared.images)
      let path = "\(images)/labels.csv"
      var lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      lines[1] = "000000.png,16"
      try lines.map { $0 + "\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8)
      return encode($0, images)
    },
    BadInput("no images of the shapes set", 64, ["--count", "0", "at least 1"], ranks: [1]) {
      ["dataset", "shapes", "--out", "\($0.path)/set", "--count", "0"]
    },
    BadInput("a full folder for the shapes set", 64, ["--out names a folder"], ranks: [1]) { _ in
      ["dataset", "shapes", "--out", try Workshop.shared.images, "--count", "4"]
    },
  ]

  private static let sampling = [
    BadInput("no model", 66, ["{}/none: no such file or folder"]) {
      ["sample", "\($0.path)/none", "--count", "2", "--out", "\($0.path)/out"]
    },
    BadInput("no samples", 64, ["--count 0", "at least 1"]) {
      ["sample", try Trained.run, "--count", "0", "--out", "\($0.path)/out"]
    },
    BadInput("labels that the model does not know", 64, ["--labels", "99", "0 to 15"]) {
      ["sample", try Trained.run, "--count", "2", "--labels", "99", "--out", "\($0.path)/out"]
    },
    BadInput("guidance without a null label", 64, ["--cfg", "without a null label"]) {
      ["sample", try Trained.withoutNull, "--count", "2", "--cfg", "2", "--out", "\($0.path)/out"]
    },
    BadInput("an --out that holds files", 64, ["shapes: --out names a folder that holds"]) { _ in
      ["sample", try Trained.run, "--count", "2", "--out", try Workshop.shared.images]
    },
    BadInput("a misspelt solver", 64, ["--solver dopri6", "did you mean dopri5?"]) {
      ["sample", try Trained.run, "--count", "2", "--solver", "dopri6", "--out", "\($0.path)/out"]
    },
    BadInput("times that the model does not run through", 64, ["--times", "from 1.0 down to 0.0"]) {
      [
        "sample", try Trained.run, "--count", "2", "--solver", "euler", "--times", "0,1",
        "--out", "\($0.path)/out",
      ]
    },
  ]

  /// A limit on the size of files is what a full disk is to a process; 8 KiB.
  private static let limited: @Sendable (Scratch) throws -> [String] = { _ in
    // The launcher keeps files of its own: the limit is for the ranks.
    ["bash", "-c", "ulimit -f 8; exec \"$@\"", "limited"]
  }

  private static let disks = [
    BadInput(
      "no room for a checkpoint", 74, ["{}/run/checkpoints/", "byte ", "File too large"],
      ranks: [1], under: limited
    ) { try train($0, "log.every=1000") },
    BadInput(
      "no room for a cache", 74, ["{}/cache/", "byte ", "File too large"], ranks: [1],
      under: limited
    ) { encode($0, try Workshop.shared.images) },
  ]
}

/// Runs that rows start from, made once.
enum Trained {
  private static func made(_ more: String...) -> Result<(Scratch, String), any Error> {
    Result {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(try Workshop.shared.train(run) + more).requireSuccess()
      return (scratch, run)
    }
  }

  private static let twentySteps = made()
  private static let oneStep = made("model.label_dropout=0", "training.steps=1")

  /// 20 steps with checkpoints of 5, 10, 15 and 20.
  static var run: String { get throws { try twentySteps.get().1 } }
  /// A model that has learnt no null label.
  static var withoutNull: String { get throws { try oneStep.get().1 } }
}
