import Diagnostics
import FlowData
import Worker

/// What is cut out of the pictures that a network learns to complete: it is given the latent of the
/// picture with a hole, and the mask.  Dao et al. 2023, arXiv 2307.08698, § 5.3.
public struct InpaintingConfig: ConfigSection {
  /// Kind of the holes, as `latentflow dataset masks --kind` has it.
  public var masks = MaskGenerator.Kind.mixed.rawValue
  /// Cells of a thumbnail in a latent pixel, along each axis: the network sees that in place of the
  /// masked latent. 0: the latent.
  public var thumbnail = 0

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.string("masks", &masks)
    try fields.integer("thumbnail", &thumbnail, atLeast: 0, atMost: 64)
  }

  /// How the network sees the picture with its hole.
  var context: HoleContext { thumbnail == 0 ? .latent : .thumbnail(cells: thumbnail) }

  func generator() throws -> MaskGenerator { try MaskGenerator(masks, option: "inpainting.masks") }

  func validate(_ check: ConfigCheck, _ config: RunConfig) throws {
    do {
      _ = try generator()
    } catch let error as UserError {
      try check.that(
        false, "inpainting.masks",
        found: [error.place, error.found].compactMap(\.self).joined(
          separator: " "), expected: error.expected ?? "", advice: error.advice)
    }
    try check.that(
      config.coupling.upsampling == nil, "inpainting", "coupling.kind",
      found: "an inpainting that starts from a low-resolution latent",
      expected: "coupling.kind noise, or no inpainting")
    for (every, field) in [
      (config.samples.every, "samples.every"), (config.evaluation.every, "evaluation.every"),
    ] {
      try check.that(
        every == 0, field, found: "\(every) with inpainting, which completes pictures",
        expected: "0", advice: "`latentflow inpaint` completes pictures with any checkpoint")
    }
  }
}
