import FlowData
import Foundation
import Testing

/// Tiny models for up-sampling on pixels, trained for a few steps each, and pictures for them.
final class UpscalingModels: Sendable {
  private static let made = Result { try UpscalingModels() }
  static var shared: UpscalingModels { get throws { try made.get() } }

  let scratch: Scratch
  var path: String { scratch.path }
  /// 32 pictures of 32×32 with those of 16×16.
  var cache: String { "\(path)/cache-2" }
  /// The same with those of 8×8.
  var smallCache: String { "\(path)/cache-4" }
  /// Does nothing: its results are what its source is, nearest pixels.
  var idle: String { "\(path)/idle" }
  /// 16 → 32 with noise, bilinear.
  var twice: String { "\(path)/twice" }
  /// 8 → 32, on maps an eighth as large.
  var fourfold: String { "\(path)/fourfold" }
  /// Three pictures of 16×16.
  var pictures: String { "\(path)/pictures" }

  private init() throws {
    scratch = try Scratch()
    for (low, name) in [("16", "cache-2"), ("8", "cache-4")] {
      try latentflow([
        "encode", "shapes:32@32#7", "--identity", "--low-res", low, "--out",
        "\(scratch.path)/\(name)",
      ]).requireSuccess()
    }
    try train(
      "idle", "optimizer.lr=1e-30", "coupling.upsampling=nearest", "coupling.start=latent",
      "model.multipliers=[1,1,1]")
    try train("twice")
    try train(
      "fourfold", "data.cache=\(smallCache)", "model.pool_factor=8", "model.multipliers=[1,1,1]",
      "model.attention_factors=[4]")
    try FileManager.default.createDirectory(atPath: pictures, withIntermediateDirectories: true)
    let shapes = ShapesDataset(size: 16, seed: 2, count: 3)
    for i in 0..<3 { try shapes.image(i).writePNG(to: "\(pictures)/\(i).png") }
  }

  /// What every model has; fields come behind.
  static let config = """
    seed: 3
    model: MODEL
    first_stage: { kind: identity }
    data: { cache: CACHE }
    path: { kind: linear }
    coupling: { kind: upsampling, upsampling: bilinear, start: noised, context: bilinear }
    training: { steps: 3, micro_batch: 2, micro_batches: 4 }
    optimizer: { lr: 1.0e-2 }
    ema: { decay: 0.5 }
    checkpoint: { every: 3 }
    log: { every: 1, tensorboard: false }
    """

  static let network = """
    { kind: efficient_unet, channels: 32, multipliers: [1], blocks: 1, attention_factors: [1],
      heads: 1, head_width: 8, context_channels: 3 }
    """

  /// The command that trains into this folder.
  func training(
    _ run: String, _ more: [String] = [], network: String = UpscalingModels.network
  ) throws -> [String] {
    let file = "\(path)/config.yaml"
    try Self.config.replacing("CACHE", with: cache).replacing("MODEL", with: network)
      .write(toFile: file, atomically: true, encoding: .utf8)
    return ["train", file, "--run", run] + more
  }

  private func train(_ name: String, _ more: String...) throws {
    try latentflow(training("\(path)/\(name)", more)).requireSuccess()
  }

  /// The pictures that `upscale` makes of the words, on some ranks.
  func upscaled(_ words: [String], ranks: Int = 1) throws -> [String: Data] {
    let out = "\(path)/out-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: out) }
    try latentflow(["upscale"] + words + ["--out", out], ranks: ranks).requireSuccess()
    return try contents(of: out).filter { $0.key.hasSuffix(".png") }
  }
}
