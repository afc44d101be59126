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
