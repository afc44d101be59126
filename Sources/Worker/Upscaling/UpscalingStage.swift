import Diagnostics
import FlowCore
import FlowData

/// One enlargement: a network, what it was trained for, and how its flow is integrated.
public struct UpscalingStage {
  public let specification: NetworkSpecification
  public let enlargement: Enlargement
  /// Seed, solver, path, scale and coupling; the size of its items is not used.
  public let plan: SamplingPlan
  /// The coupling goes through the pixels of a picture where there is one, rather than through
  /// those that its latent decodes to.
  public let startsFromPixels: Bool
  /// Reads the parameters.
  public let load: () throws -> Network

  public init(
    _ specification: NetworkSpecification, _ enlargement: Enlargement, _ plan: SamplingPlan,
    startsFromPixels: Bool, load: @escaping () throws -> Network
  ) {
    (self.specification, self.enlargement, self.plan) = (specification, enlargement, plan)
    (self.startsFromPixels, self.load) = (startsFromPixels, load)
  }
}

/// What the sides of a picture have to be for the stages that it goes through.
public struct UpscalingExtents: Sendable {
  /// Image pixels per latent pixel along each axis.
  public let factor: Int
  public let stages: [(enlargement: Enlargement, extents: LatentExtents)]

  public init(factor: Int, stages: [(enlargement: Enlargement, extents: LatentExtents)]) {
    (self.factor, self.stages) = (factor, stages)
  }

  /// Pictures are made multiples of so many pixels: latents then are whole, and of sides that every
  /// network takes.
  public func unit(stages count: Int) -> Int {
    sequence(first: factor) { $0 + factor }.first { side in
      var latent = side / factor
      for stage in stages.prefix(count) {
        guard latent % stage.enlargement.low == 0 else { return false }
        latent = stage.enlargement.applied(to: latent)
        if case .multiples(let divisor) = stage.extents, latent % divisor != 0 { return false }
      }
      return true
    }!
  }

  public func enlargement(stages count: Int) -> Enlargement {
    stages.prefix(count).reduce(Enlargement(from: 1, to: 1)) { $0 * $1.enlargement }
  }

  /// A picture's size after its last row and column have been repeated.
  ///
  /// - Throws: `UserError` naming `place` where a network takes one size alone, and not this one.
  public func padded(_ size: ImageSize, stages count: Int, place: String) throws -> ImageSize {
    let unit = unit(stages: count)
    func whole(_ side: Int) -> Int { (side + unit - 1) / unit * unit }
    let padded = ImageSize(width: whole(size.width), height: whole(size.height))
    for (k, stage) in stages.prefix(count).enumerated() {
      guard case .exactly(let height, let width) = stage.extents else { continue }
      let total = enlargement(stages: k + 1)
      guard total.applied(to: padded.height) == height * factor,
        total.applied(to: padded.width) == width * factor
      else {
        let expected = ImageSize(
          width: width * factor * total.low / total.high,
          height: height * factor * total.low / total.high)
        throw UserError(
          .badData, place, found: "\(size) pixels", expected: "\(expected): the network of stage "
            + "\(k) knows its place among \(height)×\(width) latent pixels and no others",
          advice: "scale and crop the pictures first, or train an efficient_unet or original_adm, "
            + "which take any size")
      }
    }
    return padded
  }
}
