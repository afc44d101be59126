import Diagnostics

/// Models that enlarge a picture one after another: the whole of a cascade's file.
public struct CascadeConfig: RootConfiguration {
  /// The first stage of all models, if it has moved since training.
  public var autoencoder: String?
  public var stages: [CascadeStageConfig] = []

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.string("autoencoder", &autoencoder)
    try fields.sections("stages", &stages)
  }

  public static var changeableOnResume: [String] { [] }

  public func validate(_ check: ConfigCheck) throws {
    try check.that(
      !stages.isEmpty, "stages", found: "no stages",
      expected: "a list: stages: [{ model: runs/a }, { model: runs/b }]")
    for (k, stage) in stages.enumerated() {
      try check.that(
        !stage.model.isEmpty, "stages.\(k).model", found: "no model",
        expected: "a run folder, a checkpoint or a weights file")
      if let from = stage.from, let to = stage.to {
        try check.that(
          to >= from, "stages.\(k).to", found: "\(to) from \(from)", expected: "at least \(from)")
      }
      if k > 0, let from = stage.from, let before = stages[k - 1].to {
        try check.that(
          from == before, "stages.\(k).from",
          found: "\(from), and the stage before ends at \(before)", expected: "\(before)")
      }
      try stage.validate(check, k)
    }
  }
}

/// One stage of a cascade.
public struct CascadeStageConfig: ConfigSection {
  /// A run folder, a checkpoint, a weights file or a configuration of FMBoost; a relative path
  /// begins where the cascade's file lies.
  public var model = ""
  /// The weights of a configuration of FMBoost.
  public var weights: String?
  /// Sides in pixels before and after; nil takes those of training.
  public var from: Int?
  public var to: Int?
  public var solver = SamplesConfig.Solver.euler
  /// Of a solver with fixed steps; nil takes 10.
  public var steps: Int?
  public var rtol: Double?
  public var atol: Double?
  /// In place of the model's own.
  public var noisingStep: Int?
  /// Take the running average of the parameters.
  public var averaged = true

  public init() {}

  public mutating func bind(_ fields: FieldBinder) throws {
    try fields.string("model", &model)
    try fields.string("weights", &weights)
    try fields.integer("from", &from, atLeast: 1, atMost: 1 << 16)
    try fields.integer("to", &to, atLeast: 1, atMost: 1 << 16)
    try fields.choice("solver", &solver)
    try fields.integer("steps", &steps, atLeast: 1, atMost: 1 << 20)
    try fields.number("rtol", &rtol, .positive)
    try fields.number("atol", &atol, .positive)
    try fields.integer("noising_step", &noisingStep, atLeast: 0, atMost: 1 << 20)
    try fields.boolean("averaged", &averaged)
  }

  fileprivate func validate(_ check: ConfigCheck, _ k: Int) throws {
    let isAdaptive = solver.isAdaptive
    try check.that(
      !isAdaptive || steps == nil, "stages.\(k).steps", "stages.\(k).solver",
      found: "steps of \(solver.rawValue), which chooses its own", expected: "rtol and atol")
    try check.that(
      isAdaptive || (rtol == nil && atol == nil), "stages.\(k).\(rtol == nil ? "atol" : "rtol")",
      "stages.\(k).solver", found: "a tolerance of \(solver.rawValue), which has fixed steps",
      expected: "steps")
  }
}
