import Diagnostics
import FlowCore
import FlowData
import FlowModels
import FlowNN
import FlowTensor

/// Replays FMBoost's forward diffusion (`K_fmb_forward_diffusion`): tables and noised samples.
public func replayDiffusionCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  guard let sizes = c.config["im_sizes"]?.array?.compactMap(\.int),
    let count = c.config["n"]?.int, (2...1 << 20).contains(count),
    let steps = c.config["ts"]?.array?.compactMap(\.int), steps.allSatisfy((0..<count).contains)
  else {
    throw UserError(
      .badData, c.file.path, at: "header entry config", found: "no usable im_sizes, n or ts",
      expected: "sizes of images, a number of steps, and steps below it")
  }
  let (x, noise) = (nhwc(try c.input("x")), nhwc(try c.input("noise")))
  return try sizes.flatMap { size in
    let diffusion = ForwardDiffusion(.shiftedCosine(size: Double(size)), steps: count)
    return [try c.row("alpha_bar_\(size)", diffusion.alphaBars)]
      + (try steps.map { step in
        let noised = diffusion.noised(x, step: step, noise: noise)
        return try c.row("q_sample_\(size)_\(step)", nchw(noised).values)
      })
  }.compactMap { $0 }
}

/// Replays FMBoost's couplings (`K_fmb_upsampling*`): up-sampled latents, resized images, whole
/// training steps up to the loss, and predictions of high-resolution latents and images.
public func replayUpsamplingCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  let replay = try UpsamplingReplay(c)
  return try replay.firstStage() + replay.latents() + replay.images() + replay.steps()
    + replay.predictions()
}

private struct UpsamplingReplay {
  let c: ReferenceCase
  private let network: Network
  private let codec: PixelCodec
  private let diffusion = ForwardDiffusion()
  private let noisingStep: Int
  private let lowImageSize, imageSize, oddSize: Int
  /// [B, H, W, 3]
  private let highImages, lowImages: Tensor
  /// [B, h, w, C]
  private let lowLatent, highLatent, noise, filling: Tensor
  private let t: Tensor

  init(_ c: ReferenceCase) throws {
    func int(_ key: String) throws -> Int {
      guard let value = c.config[key]?.int, value > 0 else { throw Self.unusable(c, key) }
      return value
    }
    guard let scale = c.config["scale_factor"]?.double, let vae = c.config["vae"],
      let unet = c.config["unet"]
    else { throw Self.unusable(c, "scale_factor, vae or unet") }
    self.c = c
    noisingStep = try int("noising_step")
    (lowImageSize, imageSize) = (try int("low_res_size"), try int("im_size"))
    oddSize = try int("odd_size")
    let (stage, _, _) = try c.autoencoder(vae, part: "first_stage", training: false)
    codec = PixelCodec(
      encode: { Float(scale) * stage.encode($0).mode },
      decode: { stage.decode(Float(1 / scale) * $0) })
    network = try c.network(
      .efficient(EfficientUNet.Configuration(unet, c.file.path, resolution: int("z_size"))),
      part: "net", training: false)
    (highImages, lowImages) = (nhwc(try c.input("hres_ims")), nhwc(try c.input("lres_ims")))
    (lowLatent, highLatent) = (nhwc(try c.input("lres_z")), nhwc(try c.input("big_z")))
    (noise, filling) = (nhwc(try c.input("noise_src")), nhwc(try c.input("noise_up")))
    t = try c.input("t")
  }

  private static func unusable(_ c: ReferenceCase, _ key: String) -> UserError {
    UserError(.badData, c.file.path, at: "header entry config", found: "no usable \(key)")
  }

  private func row(_ name: String, _ found: Tensor) throws -> ReplayRow? {
    try c.row(name, found.shape.rank == 4 ? nchw(found).values : found.values)
  }

  private func batch(_ low: LowResolution? = nil, noise: Tensor? = nil) -> CouplingBatch {
    CouplingBatch(
      noise: noise ?? self.noise, filling: filling, low: low,
      imageExtent: (height: imageSize, width: imageSize))
  }

  func firstStage() throws -> [ReplayRow] {
    [
      try row("first_stage.encode", try codec.encode(highImages)),
      try row("first_stage.decode", try codec.decode(lowLatent)),
    ].compactMap { $0 }
  }

  func latents() throws -> [ReplayRow] {
    let low = LowResolution(latent: lowLatent)
    var rows: [ReplayRow?] = []
    for mode in LatentUpsampling.allCases {
      let output = "latent.\(mode.referenceName)"
      guard c.contains(.outputs, output) else { continue }
      rows.append(try row(output, mode(low, in: batch(), codec: codec)))
    }
    let withImages = LowResolution(latent: lowLatent, images: lowImages)
    rows.append(
      try row(
        "latent.psu_from_images", LatentUpsampling.pixels(withImages, in: batch(), codec: codec)))
    // Nothing is left to do for a latent that has its size.
    let high = LowResolution(latent: highLatent)
    rows.append(
      try row("latent.psu_already_high", LatentUpsampling.pixels(high, in: batch(), codec: nil)))
    let down = batch(noise: lowLatent)
    rows.append(
      try row(
        "latent.noise_upsampling_down", LatentUpsampling.noiseFilled(high, in: down, codec: nil)))
    return rows.compactMap { $0 }
  }

  func images() throws -> [ReplayRow] {
    // FMBoost's «conv» is bilinear.
    let modes: [(String, Interpolation)] = [
      ("bilinear", .bilinear), ("nearest", .nearest), ("bicubic", .bicubic), ("area", .area),
      ("conv", .bilinear), ("bilinear_antialias", .bilinearAntialiased),
    ]
    return try modes.flatMap { name, mode in
      try [("up", lowImages), ("down", highImages)].map { direction, image -> ReplayRow? in
        let output = "resize.\(name).\(direction)"
        guard c.contains(.outputs, output) else { return nil }
        let size = direction == "up" ? try c.shape(.outputs, output)[-1] : oddSize
        return try row(output, resized(image, height: size, width: size, mode))
      }
    }.compactMap { $0 }
  }

  func steps() throws -> [ReplayRow] {
    let runs: [(String, UpsamplingCoupling.Start, LatentUpsampling, context: LatentUpsampling)] = [
      ("icfm_psu", start, .pixels, .pixels), ("fm_noise", .noise, .bilinear, .bilinear),
      ("plain_nearest", .latent, .nearest, .bilinear),
    ]
    return try runs.flatMap { name, start, upsampling, context in
      try step(
        name, UpsamplingCoupling(start: start, upsampling: upsampling, context: context))
    }
  }

  private var start: UpsamplingCoupling.Start { .noised(diffusion, step: noisingStep) }

  /// Images to loss.
  private func step(_ name: String, _ coupling: UpsamplingCoupling) throws -> [ReplayRow] {
    let data = try codec.encode(highImages)
    let low = try lowResolution()
    let coupled = try coupling(batch(low), codec: codec)
    let point = LinearPath().sample(x0: coupled.source, x1: data, t: t)
    let v = network(point.xt, t: t, condition: Condition(context: coupled.context))
    let loss = meanSquaredError(v, point.velocity)
    return [
      try row("step.\(name).hres_z", data), try row("step.\(name).lres_ims", low.images!),
      try row("step.\(name).lres_z", low.latent), try row("step.\(name).source", coupled.source),
      try row("step.\(name).context", coupled.context!), try row("step.\(name).loss", loss),
    ].compactMap { $0 }
  }

  private func lowResolution() throws -> LowResolution {
    let images = resized(highImages, height: lowImageSize, width: lowImageSize, .bilinear)
    return LowResolution(latent: try codec.encode(images), images: images)
  }

  func predictions() throws -> [ReplayRow] {
    let coupling = UpsamplingCoupling(start: start, upsampling: .pixels, context: .pixels)
    let coupled = try coupling(batch(try lowResolution()), codec: codec)
    let condition = Condition(context: coupled.context)
    // «euler_4»: method and number of grid points.
    let names = c.names(.outputs).filter { $0.hasPrefix("predict.") && $0.hasSuffix(".z") }
      .map { String($0.dropFirst("predict.".count).dropLast(".z".count)) }
    return try names.flatMap { name in
      let words = (name == "default" ? "rk4_40" : name).split(separator: "_").map(String.init)
      guard words.count == 2, let tableau = ButcherTableau.named(words[0]),
        let points = Int(words[1]), points >= 2
      else { throw Self.unusable(c, "predict.\(name)") }
      let times = (0..<points).map { Double($0) / Double(points - 1) }
      let found = try FixedStepSolver(tableau, grid: .outputTimes).integrate(
        network, condition: condition, from: coupled.source, through: times
      ).final
      return [
        try row("predict.\(name).z", found),
        try row("predict.\(name).image", try codec.decode(found)),
      ]
    }.compactMap { $0 }
  }
}
