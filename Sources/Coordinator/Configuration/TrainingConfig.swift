import Diagnostics

/// The loop.
public struct TrainingConfig: ConfigSection {
  public enum Reduction: String, CaseIterable, Sendable {
    /// The fixed binary tree: equal bits on any number of ranks.
    case tree
    /// MPI's own all-reduce.
    case mpi
  }

  public var steps = 5000
  /// Samples of one micro-batch.
  public var microBatch = 8
  /// Micro-batches of one step, K: a power of two.
  public var microBatches = 4
  /// Largest global norm of the gradient; nil clips nothing.
  public var clip: Double? = 1.0
  /// Steps with a gradient that is not finite, in a row, after which training stops.
  public var maxNonfinite = 5
  public var reduction = Reduction.tree

  /// Samples of one step.
  public var globalBatch: Int { microBatch * microBatches }

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("steps", &steps, atLeast: 1, atMost: 1 << 40)
    try fields.integer("micro_batch", &microBatch, atLeast: 1, atMost: 1 << 20)
    try fields.integer("micro_batches", &microBatches, atLeast: 1, atMost: 1 << 20)
    try fields.number("clip", &clip, .positive)
    try fields.integer("max_nonfinite", &maxNonfinite, atLeast: 1)
    try fields.choice("reduction", &reduction)
  }

  func validate(_ check: ConfigCheck) throws {
    try check.that(
      check.isPowerOfTwo(microBatches), "training.micro_batches",
      found: "found \(microBatches)",
      expected: "a power of two: gradients are added in a binary tree over the micro-batches")
  }
}

public enum OptimizerConfig: ConfigSection {
  /// Weight decay apart from the gradient (Loshchilov & Hutter 2017, arXiv 1711.05101).
  case adamw(Adam)
  /// Weight decay as part of the gradient (Kingma & Ba 2014, arXiv 1412.6980).
  case adam(Adam)

  public struct Adam: Sendable, Equatable {
    /// Learning rate at the top of the schedule.
    public var lr = 1e-3
    public var betas = [0.9, 0.999]
    public var eps = 1e-8
    public var weightDecay = 0.0

    public init() {}
  }

  private enum Kind: String, CaseIterable { case adamw, adam }

  public init() { self = .adamw(Adam()) }

  public var adam: Adam {
    switch self {
    case .adamw(let adam), .adam(let adam): adam
    }
  }

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind = if case .adam = self { Kind.adam } else { Kind.adamw }
    var adam = self.adam
    try fields.choice("kind", &kind)
    try fields.number("lr", &adam.lr, .positive)
    try fields.numbers("betas", &adam.betas, .belowOne, count: 2)
    try fields.number("eps", &adam.eps, .positive)
    try fields.number("weight_decay", &adam.weightDecay, .nonNegative)
    self = kind == .adam ? .adam(adam) : .adamw(adam)
  }
}

/// The learning rate over the steps, as a factor of `optimizer.lr`: a straight line up to 1 over
/// `warmup` steps, then constant, or down to `final` at the last step.
public enum ScheduleConfig: ConfigSection {
  case constant(warmup: Int)
  case cosine(warmup: Int, final: Double)
  case linear(warmup: Int, final: Double)

  private enum Kind: String, CaseIterable { case constant, cosine, linear }

  public init() { self = .cosine(warmup: 100, final: 0) }

  public var warmup: Int {
    switch self {
    case .constant(let warmup), .cosine(let warmup, _), .linear(let warmup, _): warmup
    }
  }

  public mutating func bind(_ fields: FieldBinder) throws {
    var kind: Kind
    var warmup = self.warmup
    var final = 0.0
    switch self {
    case .constant: kind = .constant
    case .cosine(_, let end): (kind, final) = (.cosine, end)
    case .linear(_, let end): (kind, final) = (.linear, end)
    }
    try fields.choice("kind", &kind)
    try fields.integer("warmup", &warmup, atLeast: 0)
    if kind == .constant {
      fields.inapplicable("final", because: "a constant schedule ends where it began")
    } else {
      try fields.number("final", &final, .unit)
    }
    switch kind {
    case .constant: self = .constant(warmup: warmup)
    case .cosine: self = .cosine(warmup: warmup, final: final)
    case .linear: self = .linear(warmup: warmup, final: final)
    }
  }
}

/// The moving average of the parameters, from which samples are drawn.
public struct EMAConfig: ConfigSection {
  public enum Kind: Sendable, Equatable {
    /// The same decay at every step.
    case constant
    /// 1 − (1 + s/inverseGamma)^−power with s = step − updateAfter − 1, kept between `minimum` and
    /// `decay`; up to step `updateAfter` the average is a copy.
    case power(PowerLaw)
  }

  public struct PowerLaw: Sendable, Equatable {
    public var inverseGamma = 1.0
    public var power = 2.0 / 3
    public var minimum = 0.0
    public var updateAfter = 0
    public var updateEvery = 1

    public init() {}
  }

  private enum Name: String, CaseIterable { case constant, power }

  public var decay = 0.999
  public var kind = Kind.constant

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.number("decay", &decay, .unit)
    var name = kind == .constant ? Name.constant : .power
    try fields.choice("kind", &name)
    switch name {
    case .constant:
      fields.inapplicable(
        "inv_gamma", "power", "min_value", "update_after_step", "update_every",
        because: "ema.kind is constant")
      kind = .constant
    case .power:
      var law = PowerLaw()
      if case .power(let given) = kind { law = given }
      try fields.number("inv_gamma", &law.inverseGamma, .positive)
      try fields.number("power", &law.power, .positive)
      try fields.number("min_value", &law.minimum, .unit)
      try fields.integer("update_after_step", &law.updateAfter, atLeast: 0)
      try fields.integer("update_every", &law.updateEvery, atLeast: 1)
      kind = .power(law)
    }
  }
}

public struct CheckpointConfig: ConfigSection {
  /// Steps between checkpoints; 0 writes only the last.
  public var every = 1000
  /// How many stay.
  public var keep = 3

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("every", &every, atLeast: 0)
    try fields.integer("keep", &keep, atLeast: 1)
  }
}

public struct LogConfig: ConfigSection {
  /// Steps between rows of metrics.csv.
  public var every = 20
  public var tensorboard = true

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.integer("every", &every, atLeast: 1)
    try fields.boolean("tensorboard", &tensorboard)
  }
}
