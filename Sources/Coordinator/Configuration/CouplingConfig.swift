import Diagnostics
import FlowCore

/// What the flow starts from, and what the network is told of it.
public struct CouplingConfig: ConfigSection {
  public enum Source: Sendable, Equatable {
    case noise
    /// The latent of the same image made smaller.  Schusterbauer et al. 2024, arXiv 2312.07360.
    case upsampling(Upsampling)
  }

  /// FMBoost's names of `LatentUpsampling`.
  public enum Mode: String, CaseIterable, Sendable {
    case identity, psu, nearest, bilinear, bicubic, area
    case noiseUpsampling = "noise_upsampling"

    var upsampling: LatentUpsampling { LatentUpsampling.named(rawValue)! }
  }

  public struct Upsampling: Sendable, Equatable {
    public enum Start: String, CaseIterable, Sendable { case latent, noised, noise }
    public enum Schedule: String, CaseIterable, Sendable { case cosine, linear }

    /// Side in pixels that the low-resolution image has; nil takes what the cache holds.
    public var lowSize: Int?
    public var mode = Mode.psu
    public var start = Start.noised
    /// Step of the forward diffusion that noises the source.
    public var noisingStep = 400
    public var noisingSteps = 1000
    public var schedule = Schedule.cosine
    /// The shift of the cosine schedule: log SNR moves by 2·log(reference / image).
    public var imageSize = 64.0
    public var referenceSize = 64.0
    /// How the concatenated context is brought to size; nil: none.
    public var context: Mode? = .psu
    /// The same of the context that is attended to.
    public var crossContext: Mode?

    public init() {}
  }

  public var source = Source.noise
  /// Sources are handed out anew inside groups of this many samples of a micro-batch, by optimal
  /// transport; nil: as they come.
  public var transportGroup: Int?

  private enum Kind: String, CaseIterable { case noise, upsampling }

  public init() {}

  var upsampling: Upsampling? {
    if case .upsampling(let upsampling) = source { upsampling } else { nil }
  }

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind = upsampling == nil ? Kind.noise : .upsampling
    try fields.choice("kind", &kind)
    switch kind {
    case .noise:
      fields.inapplicable(
        "low_size", "upsampling", "start", "noising_step", "noising_steps", "schedule",
        "image_size", "reference_size", "context", "cross_context",
        because: "the coupling noise has no low-resolution latent")
      source = .noise
    case .upsampling:
      var upsampling = self.upsampling ?? Upsampling()
      try upsampling.bind(fields)
      source = .upsampling(upsampling)
    }
    try fields.integer("transport_group", &transportGroup, atLeast: 2, atMost: 4096)
  }

  func validate(_ check: ConfigCheck, _ training: TrainingConfig) throws {
    if let group = transportGroup {
      try check.that(
        training.microBatch % group == 0, "coupling.transport_group", "training.micro_batch",
        found: "groups of \(group) in micro-batches of \(training.microBatch)",
        expected: "a divisor of training.micro_batch: a group never spans ranks")
    }
    if let upsampling, upsampling.start == .noised {
      try check.that(
        upsampling.noisingStep < upsampling.noisingSteps, "coupling.noising_step",
        "coupling.noising_steps", found: "step \(upsampling.noisingStep)",
        expected: "below coupling.noising_steps, \(upsampling.noisingSteps)")
    }
  }
}

extension CouplingConfig.Upsampling {
  fileprivate mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("low_size", &lowSize, atLeast: 1, atMost: 1 << 16)
    try fields.choice("upsampling", &mode)
    try fields.choice("start", &start)
    if start == .noised {
      try fields.integer("noising_step", &noisingStep, atLeast: 0, atMost: 1 << 20)
      try fields.integer("noising_steps", &noisingSteps, atLeast: 2, atMost: 1 << 20)
      try fields.choice("schedule", &schedule)
      if schedule == .cosine {
        try fields.number("image_size", &imageSize, .positive)
        try fields.number("reference_size", &referenceSize, .positive)
      } else {
        fields.inapplicable(
          "image_size", "reference_size", because: "the linear schedule has no shift")
      }
    } else {
      fields.inapplicable(
        "noising_step", "noising_steps", "schedule", "image_size", "reference_size",
        because: "coupling.start is not noised")
    }
    try bindMode("context", &context, fields)
    try bindMode("cross_context", &crossContext, fields)
  }

  private func bindMode(
    _ key: String, _ mode: inout CouplingConfig.Mode?, _ fields: FieldBinder
  ) throws {
    var name = mode?.rawValue
    try fields.choice(key, &name, among: CouplingConfig.Mode.allCases.map(\.rawValue))
    mode = name.flatMap(CouplingConfig.Mode.init(rawValue:))
  }
}
