import Diagnostics
import FlowCore
import FlowData
import FlowTensor

/// Replays LFM's training objective (`K_lfm_objective`): the point of the path, the velocity, the
/// loss, and the condition of the inpainting model.
public func replayObjectiveCase(_ c: ReferenceCase) throws -> [ReplayRow] {
  guard let scale = c.config["scale_factor"]?.double else {
    throw UserError(.badData, c.file.path, at: "header entry config", found: "no scale_factor")
  }
  func scaled(_ name: String) throws -> Tensor {
    linearCombination([nhwc(try c.input(name))], coefficients: [Float(scale)])
  }
  let point = NoisingPath().sample(
    x0: try scaled("z0"), x1: nhwc(try c.input("noise")), t: try c.input("t"))
  let loss = meanSquaredError(nhwc(try c.input("v")), point.velocity)

  let condition = inpaintingCondition(
    maskedLatent: try scaled("masked_latent"), mask: nhwc(try c.input("mask")))
  let input = concatenate(point.xt, condition)  // [B, H, W, C + C + 1]
  return [
    try c.row("z_t", nchw(point.xt).values),
    try c.row("u", nchw(point.velocity).values),
    try c.row("loss", [loss.item]),
    try c.row("inpaint.cond", nchw(condition).values),
    try c.row("inpaint.model_input", nchw(input).values),
    try c.row("inpaint.u", nchw(point.velocity).values),
  ].compactMap { $0 }
}

/// Replays what LFM's inpainting makes of images and masks (`K_lfm_inpaint_images`): the mask, the
/// masked image, and the composite, which the case has in [0, 1].
func replayInpaintingImages(_ c: ReferenceCase) throws -> [ReplayRow] {
  let extents = try c.shape(.inputs, "image")  // [B, H, W, 3]
  let image = Tensor(extents, try c.input("image").values.map { $0 / 127.5 - 1 })
  let levels = try c.ints(.inputs, "mask_png").compactMap { UInt8(exactly: $0) }
  guard extents.rank == 4, levels.count == extents.rows else {
    throw UserError(
      .badData, c.file.path, at: "tensor inputs.mask_png",
      found: "\(levels.count) levels for images \(extents)", expected: "one in 0...255 per pixel")
  }
  let mask = inpaintingMask(
    levels: levels, shape: [extents[0], extents[1], extents[2], 1])
  let composite = inpaintingComposite(
    decoded: nhwc(try c.input("decoded")), image: image, mask: mask)
  return [
    try c.row("image", nchw(image).values, unstated: 2e-6),
    try c.row("mask", nchw(mask).values, unstated: 0),
    try c.row("masked_image", nchw(maskedImage(image, mask: mask)).values, unstated: 2e-6),
    try c.row("composite", nchw(composite).values.map { ($0 + 1) / 2 }, unstated: 2e-6),
  ].compactMap { $0 }
}
