import Diagnostics
import FlowTensor

// Images larger than the memory: one image [1, H, W, C] in strips of rows, over ranks that share
// it. Group norms and attention see the whole image, so the numbers are those of `encode` and
// `decode` to rounding, with no seams.

extension AutoencoderKL {
  public enum Direction: Sendable { case encoding, decoding }

  /// How to encode or decode an image in strips. The ranks that share it must plan with equal
  /// limits: equal plans say when they meet.
  ///
  /// - Parameters:
  ///   - height, width: of the image, multiples of the down-sampling factor
  ///   - limit: bytes of tensors beside the weights and the input, or nil
  ///   - occupied: bytes of the process before it starts, which an error adds to the least
  ///     possible
  ///   - subject: what an error is about, such as «--memory 2G»
  /// - Throws: `UserError` of status `usage` that names the least possible, if that exceeds
  ///   `limit`.
  public func stripPlan(
    _ direction: Direction, height: Int, width: Int, ranks: RowRanks = .alone, limit: Int? = nil,
    occupied: Int = 0, subject: String = "memory"
  ) throws -> StripPlan {
    let f = configuration.downsamplingFactor
    precondition(
      height > 0 && width > 0 && height % f == 0 && width % f == 0,
      "an image of \(height)×\(width) for an autoencoder that divides by \(f)")
    let shares = RowShares(ranks: ranks, latentRows: height / f)
    let image = "\(width)×\(height) pixels"
    switch direction {
    case .encoding:
      return try StripPlan(
        encoder.steps,
        StripExtents(
          height: height, width: width, channels: configuration.inChannels, shares: shares),
        limit: limit, occupied: occupied, subject: subject, work: "encoding \(image)")
    case .decoding:
      return try StripPlan(
        decoder.steps,
        StripExtents(
          height: height / f, width: width / f, channels: configuration.latentChannels,
          shares: shares),
        limit: limit, occupied: occupied, subject: subject, work: "decoding \(image)")
    }
  }

  /// `encode` of one image in strips. Collective over the plan's ranks; no tape.
  ///
  /// - Parameter image: [1, H, W, C] in [−1, 1], whole on every rank
  /// - Returns: the same on every rank
  public func encode(_ image: Tensor, _ plan: StripPlan) throws -> Posterior {
    precondition(
      image.shape.rank == 4 && image.shape[0] == 1
        && image.shape[1] == plan.shares.latentRows * configuration.downsamplingFactor,
      "encode in strips: image \(image.shape), planned for \(plan.shares.latentRows) latent rows")
    let moments = try StripRun(shares: plan.shares)(encoder.steps, plan.choices, image.detached)
    return Posterior(moments: quantConv(moments))
  }

  /// `decode` of one latent in strips. Collective over the plan's ranks; no tape.
  ///
  /// - Parameter z: [1, h, w, latent], not scaled, whole on every rank
  /// - Returns: [1, f·h, f·w, C], the same on every rank
  public func decode(_ z: Tensor, _ plan: StripPlan) throws -> Tensor {
    precondition(
      z.shape.rank == 4 && z.shape[0] == 1 && z.shape[1] == plan.shares.latentRows,
      "decode in strips: latent \(z.shape), planned for \(plan.shares.latentRows) rows")
    return try StripRun(shares: plan.shares)(
      decoder.steps, plan.choices, postQuantConv(z.detached))
  }
}
