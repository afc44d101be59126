import Diagnostics
import FlowData

/// What `latentflow train` trains, on what, and how: the whole of a run's configuration file.
public struct RunConfig: RootConfiguration {
  public var seed: UInt64 = 0
  public var model = ModelConfig()
  public var firstStage = FirstStageConfig()
  public var data = DataConfig()
  public var coupling = CouplingConfig()
  /// nil: pictures are drawn, not completed.
  public var inpainting: InpaintingConfig?
  /// nil: pictures are not drawn after label maps.
  public var semantic: SemanticConfig?
  public var path = PathConfig()
  public var time = TimeConfig()
  public var training = TrainingConfig()
  public var optimizer = OptimizerConfig()
  public var schedule = ScheduleConfig()
  /// nil: no average is kept and samples are drawn with the trained parameters.
  public var ema: EMAConfig? = EMAConfig()
  public var checkpoint = CheckpointConfig()
  public var log = LogConfig()
  public var samples = SamplesConfig()
  public var evaluation = EvaluationConfig()
  public var validation = ValidationConfig()

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("seed", &seed)
    try fields.section("model", &model)
    try fields.section("first_stage", &firstStage)
    try fields.section("data", &data)
    // Not written where it says nothing: the resolved file of a run from noise stays what it was.
    if fields.isSet("coupling") || coupling != CouplingConfig() {
      try fields.section("coupling", &coupling)
    }
    if fields.isSet("inpainting") || inpainting != nil {
      try fields.section("inpainting", &inpainting)
    }
    if fields.isSet("semantic") || semantic != nil {
      try fields.section("semantic", &semantic)
    }
    try fields.section("path", &path)
    try fields.section("time", &time)
    try fields.section("training", &training)
    try fields.section("optimizer", &optimizer)
    try fields.section("schedule", &schedule)
    try fields.section("ema", &ema)
    try fields.section("checkpoint", &checkpoint)
    try fields.section("log", &log)
    try fields.section("samples", &samples)
    try fields.section("evaluation", &evaluation)
    if fields.isSet("validation") || validation != ValidationConfig() {
      try fields.section("validation", &validation)
    }
  }

  public static let changeableOnResume = [
    "training.steps", "training.max_nonfinite", "data.placement", "data.prefetch",
    "data.decoders", "checkpoint", "log", "samples", "evaluation",
    "validation",
  ]

  public func validate(_ check: ConfigCheck) throws {
    try model.validate(check)
    try training.validate(check)
    try evaluation.validate(check, model, firstStage)
    try coupling.validate(check, training)
    try inpainting?.validate(check, self)
    try semantic?.validate(check, self)
    try validation.validate(check, coupling, firstStage)
    try check.that(
      coupling.upsampling == nil || (samples.every == 0 && evaluation.every == 0),
      "coupling.kind", "samples.every", "evaluation.every",
      found: "upsampling, with samples or evaluation of samples from noise",
      expected: "validation.every: grids and figures of held-out pictures")
    try check.that(
      data.broken == .strict || data.placement == .local, "data.broken", "data.placement",
      found: "skip, and rank 0 alone has the pictures",
      expected: "data.broken strict, or data.placement local: all ranks look for broken ones")
    if samples.every > 0 {
      try check.that(
        samples.guidance == 1 || (model.classes > 0 && model.labelDropout > 0),
        "samples.guidance", "model.label_dropout", "model.classes",
        found: "guidance \(samples.guidance) on a model without a null label",
        expected: "guidance 1, or model.classes and model.label_dropout above 0")
    }
  }
}

/// How noise and data are joined.
public enum PathConfig: ConfigSection {
  /// Data at t = 0, noise at t = 1.  Dao et al. 2023, arXiv 2307.08698, eq. 5.
  case noising(sigmaMin: Double)
  /// Source at t = 0, data at t = 1, on a straight line.
  case linear(sigmaMin: Double)
  /// Source at t = 0, data at t = 1, variance-preserving: sine and cosine of πt/2.
  case gvp

  private enum Kind: String, CaseIterable { case noising, linear, gvp }

  public init() { self = .noising(sigmaMin: 1e-5) }

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind: Kind
    var sigmaMin: Double?
    switch self {
    case .noising(let sigma): (kind, sigmaMin) = (.noising, sigma)
    case .linear(let sigma): (kind, sigmaMin) = (.linear, sigma)
    case .gvp: kind = .gvp
    }
    let before = kind
    try fields.choice("kind", &kind)
    if kind == .gvp {
      fields.inapplicable("sigma_min", because: "the path gvp has none")
      self = .gvp
      return
    }
    var sigma = kind == before ? sigmaMin ?? 0 : kind == .noising ? 1e-5 : 0
    try fields.number("sigma_min", &sigma, .belowOne)
    self = kind == .noising ? .noising(sigmaMin: sigma) : .linear(sigmaMin: sigma)
  }
}

/// How training draws t.
public enum TimeConfig: ConfigSection {
  case uniform
  /// t = σ(n), n ~ N(mean, std²).  Esser et al. 2024, arXiv 2403.03206, § 3.1.
  case logitNormal(mean: Double, std: Double)

  private enum Kind: String, CaseIterable {
    case uniform
    case logitNormal = "logit_normal"
  }

  public init() { self = .uniform }

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind = self == .uniform ? Kind.uniform : .logitNormal
    try fields.choice("kind", &kind)
    switch kind {
    case .uniform:
      fields.inapplicable("mean", "std", because: "uniform times have no parameters")
      self = .uniform
    case .logitNormal:
      var (mean, std) = (0.0, 1.0)
      if case .logitNormal(let m, let s) = self { (mean, std) = (m, s) }
      try fields.number("mean", &mean)
      try fields.number("std", &std, .positive)
      self = .logitNormal(mean: mean, std: std)
    }
  }
}

/// The latent cache, or pictures that are encoded as they are needed.
public struct DataConfig: ConfigSection {
  public enum Placement: String, CaseIterable, Sendable {
    /// Every rank maps the cache, or reads the pictures.
    case local
    /// Rank 0 sends each rank its rows, or its pixels.
    case scatter
  }

  public enum Posterior: String, CaseIterable, Sendable { case sample, mode }

  /// Folder that `latentflow encode` wrote.
  public var cache = "data/shapes/latents"
  /// In place of the cache: a folder of pictures, or another set, KIND:PATH#PART.
  public var images: String?
  /// Side in pixels that pictures are cropped and scaled to; nil where all have one size.
  public var size: Int?
  public var exif = ExifPolicy.ignore
  public var broken = BrokenPolicy.strict
  /// Pictures that may lie decoded before they are needed.
  public var prefetch = 64
  /// Decoding threads of a rank.
  public var decoders = 1
  public var placement = Placement.local
  public var posterior = Posterior.sample
  /// Probability of a horizontal flip.
  public var flip = 0.0
  /// [H, W, C] that the latents must have; nil takes what is there.
  public var latentShape: [Int]?

  public init() {}

  /// What messages call the data.
  var name: String { images ?? cache }

  public mutating func bind(_ fields: FieldBinder) throws {
    // Not written where it is not used: the resolved file of a run on a cache stays what it was.
    if fields.isSet("images") || images != nil { try fields.string("images", &images) }
    if images == nil {
      fields.inapplicable(
        "size", "exif", "broken", "prefetch", "decoders", because: "data.cache is read")
      try fields.string("cache", &cache)
    } else {
      fields.inapplicable("cache", because: "data.images is set")
      try fields.integer("size", &size, atLeast: 8, atMost: 8192)
      try fields.choice("exif", &exif)
      try fields.choice("broken", &broken)
      try fields.integer("prefetch", &prefetch, atLeast: 0, atMost: 1 << 20)
      try fields.integer("decoders", &decoders, atLeast: 1, atMost: 256)
    }
    try fields.integers("latent_shape", &latentShape, count: 3, atLeast: 1)
    try fields.choice("placement", &placement)
    try fields.choice("posterior", &posterior)
    try fields.number("flip", &flip, .unit)
  }
}

/// Sample grids that are drawn while training.
public struct SamplesConfig: ConfigSection {
  public enum Solver: String, CaseIterable, Sendable {
    case euler, heun, midpoint, rk4, dopri5, dopri8, tsit5, bosh3, ab2, ab3, ab4
    case classicRK4 = "rk4_classic"
    case adaptiveHeun = "adaptive_heun"
    case dataPrediction = "dpmpp_2m"
  }

  /// Steps between grids; 0 draws none.
  public var every = 0
  public var count = 64
  /// Scale s of classifier-free guidance, u + s·(c − u); 1 is none.
  public var guidance = 2.0
  /// Steps of a fixed-step solver.
  public var steps = 20
  public var solver = Solver.euler

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("every", &every, atLeast: 0)
    try fields.integer("count", &count, atLeast: 1)
    try fields.number("guidance", &guidance, .nonNegative)
    try fields.integer("steps", &steps, atLeast: 1)
    try fields.choice("solver", &solver)
  }
}
