import Diagnostics

/// A configuration of FMBoost (Schusterbauer et al. 2024) as a run configuration.
struct FMBoostImport {
  /// Defaults of its classes, under the paths that a file would give them.
  private static let standards: [String: String] = [
    "model.params.lr": "1e-4", "model.params.weight_decay": "0.0",
    "model.params.ema_rate": "0.99", "model.params.ema_update_every": "100",
    "model.params.ema_update_after_step": "1000", "model.params.scale_factor": "1.0",
    "model.params.concat_context": "false", "model.params.start_from_noise": "false",
    "model.params.ca_context": "false", "model.params.noising_step": "-1",
    "model.params.upsampling_mode": "bilinear",
    "model.params.fm_cfg.params.schedule": "linear",
    "model.params.fm_cfg.params.sigma_min": "0.0", net + "channel_mult": "1 2 3 4",
    net + "conv_resample": "true", net + "dim_head": "64", net + "num_heads": "4",
    net + "use_linear_attn": "true", net + "use_scale_shift_norm": "true",
    net + "pool_factor": "-1", net + "dropout": "0.0",
  ]

  private static let net = "model.params.fm_cfg.params.net_cfg.params."

  /// Fields that change nothing, and why; the first whose name begins so is meant.
  private static let others: [(prefix: String, ImportedField.Outcome, String)] = [
    ("model.params.high_res_size", .ignored, "FMBoost only prints it"),
    ("model.params.metric_tracker_cfg", .ignored, "figures are evaluate's"),
    ("model.params.n_images_to_vis", .ignored, "see samples.count"),
    ("model.params.use_ema_for_sampling", .kept, "sample takes the average unless --no-ema"),
    ("model.params.log_grad_norm", .kept, "metrics.csv always has the gradient norm"),
    ("model.params.first_stage_cfg", .kept, "the first stage's class is known from its weights"),
    ("data", .kept, "encode the images into data.cache"),
    ("train.checkpoint_callback_params.save_last", .kept, "the last step is always saved"),
    ("train.checkpoint_callback_params", .ignored, "how Lightning names and prints checkpoints"),
    ("train.trainer_params.precision", .unsupported, "computes in float32"),
    ("train.trainer_params", .ignored, "an option of Lightning without counterpart"),
    ("train.callbacks", .kept, "metrics.csv always has the learning rate"),
    ("model.target", .mapped, "model.kind"),
    ("model.params.fm_cfg", .mapped, "path, model"),
  ]

  /// Options of FMBoost's `train.py`.
  private static let options: [(name: String, hasValue: Bool, ImportedField.Outcome, String)] = [
    (
      "use_wandb", false, .mapped,
      "log.tensorboard: runs log to TensorBoard, not to Weights & Biases"
    ),
    (
      "use_wandb_offline", false, .mapped,
      "log.tensorboard: runs log to TensorBoard, not to Weights & Biases"
    ),
    ("name", true, .kept, "as the name of the run folder: train --run runs/NAME"),
    ("seed", true, .mapped, "seed"),
    ("devices", true, .mapped, "the batch counts them; give it to scripts/run.sh or mpirun -np"),
    ("num_nodes", true, .mapped, "the batch counts them; see docs/launching.md"),
    ("resume_checkpoint", true, .kept, "train resumes by itself"),
    ("load_weights", true, .kept, "give it to train --weights-only, with --non-strict"),
    ("find_unused_parameters", false, .ignored, "unused parameters need no search"),
    ("p2p-disable", false, .ignored, "an option of NCCL"),
    ("tqdm_refresh_rate", true, .ignored, "the progress line has its own"),
  ]

  /// Whether `document` is a configuration of FMBoost.
  static func isOne(_ document: ConfigDocument) -> Bool {
    document.root["model"]?.value["target"]?.value.texts.first?.hasPrefix("fmboost.") ?? false
  }

  /// - Parameters:
  ///   - words: `a.b=c` and options of `train.py`, in any order.
  ///   - file: the YAML file.
  static func run(_ file: String, words: [String]) throws -> ImportedRun {
    var overrides: [String] = []
    var options: [(String, String, ImportedField.Outcome, String)] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("--") else {
        overrides.append(word)
        continue
      }
      let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
      guard let option = Self.options.first(where: { $0.name == parts.first }) else {
        throw UserError(
          .usage, "command line of FMBoost", at: word, found: "no such option",
          advice: nearestName(to: parts.first ?? "", among: Self.options.map(\.name))
            .map { "did you mean --\($0)?" })
      }
      var value = parts.count == 2 ? parts[1] : "true"
      if option.hasValue, parts.count == 1 {
        guard let next = rest.popFirst() else {
          throw UserError(
            .usage, "command line of FMBoost", at: word, found: "no value", expected: "a value")
        }
        value = next
      }
      options.append((option.name, value, option.2, option.3))
    }
    let document = try ConfigDocument(file: file, overrides: overrides)
    return try FMBoostImport(document).run(options)
  }

  let given: ForeignFields
  private let order: [String]
  var result: ImportedRun

  private init(_ document: ConfigDocument) throws {
    var values = Self.standards.mapValues {
      ForeignFields.Value(texts: $0.split(separator: " ").map(String.init), isDefault: true)
    }
    let leaves = document.root.leaves()
    for (path, node) in leaves where !node.isNull {
      guard !node.texts.contains(where: { $0.contains("${") }) else {
        throw UserError(
          .config, node.origin.subject, at: path, found: "an interpolation, \(node.summary)",
          expected: "a plain value: write it out, or override it with \(path)=VALUE")
      }
      values[path] = .init(texts: node.texts, isDefault: false)
    }
    order = leaves.map(\.path)
    given = ForeignFields(subject: document.name, values)
    result = ImportedRun(origin: "configuration of FMBoost, \(document.name)")
  }

  private func run(_ options: [(String, String, ImportedField.Outcome, String)]) throws
    -> ImportedRun
  {
    var importer = self
    try importer.readNetwork()
    try importer.readCoupling()
    try importer.readPath()
    try importer.readOptimizer()
    try importer.readTrainer(options)
    importer.noteOthers()
    importer.result.fields += options.map {
      ImportedField(name: "--\($0.0)", value: $0.1, isDefault: false, outcome: $0.2, note: $0.3)
    }
    return importer.result
  }

  private mutating func readNetwork() throws {
    for (path, name) in [
      ("model.target", "TrainerFMBoost"), ("model.params.fm_cfg.target", "FlowModel"),
      ("model.params.fm_cfg.params.net_cfg.target", "EfficientUNet"),
    ] {
      guard given.text(path)?.hasSuffix("." + name) ?? false else {
        throw given.wrong(path, "a class \(name) of fmboost")
      }
    }
    var unet = EfficientUNetConfig()
    unet.channels = try given.integer(Self.net + "model_channels", as: "model.channels")
    unet.multipliers = try given.integers(Self.net + "channel_mult", as: "model.multipliers")
    unet.blocks = try given.integer(Self.net + "num_res_blocks", as: "model.blocks")
    unet.attentionFactors = try given.integers(
      Self.net + "attention_resolutions", as: "model.attention_factors")
    unet.heads = try given.integer(Self.net + "num_heads", as: "model.heads")
    unet.headWidth = try given.integer(Self.net + "dim_head", as: "model.head_width")
    unet.linearAttention = try given.boolean(
      Self.net + "use_linear_attn", as: "model.linear_attention")
    unet.scaleShiftNorm = try given.boolean(
      Self.net + "use_scale_shift_norm", as: "model.scale_shift_norm")
    unet.convolutionalResampling = try given.boolean(
      Self.net + "conv_resample", as: "model.convolutional_resampling")
    unet.poolFactor = max(1, try given.integer(Self.net + "pool_factor", as: "model.pool_factor"))
    if try given.number(Self.net + "dropout") > 0 {
      given.note(Self.net + "dropout", .unsupported, "networks have no dropout of activations")
    } else {
      given.noteIfGiven(Self.net + "dropout", .kept, "there is none")
    }
    let (inputs, outputs) = (
      try given.integer(
        Self.net + "in_channels", as: "model.context_channels, beyond the latent's"),
      try given.integer(Self.net + "out_channels", as: "data.latent_shape")
    )
    guard inputs >= outputs else {
      throw given.wrong(Self.net + "in_channels", "at least out_channels, \(outputs)")
    }
    unet.contextChannels = inputs - outputs
    if try given.boolean("model.params.ca_context") { unet.crossContextChannels = outputs }
    result.config.model = .efficientUNet(unet)
    try readLatentShape(channels: outputs)
  }

  /// The latents are an eighth of `high_res_size`, if the file says it.
  private mutating func readLatentShape(channels: Int) throws {
    let path = "model.params.high_res_size"
    let hasFirstStage = given.text("model.params.first_stage_cfg.target") != nil
    if given.isGiven(path) {
      let side = try given.integer(path, as: "data.latent_shape") / (hasFirstStage ? 8 : 1)
      result.config.data.latentShape = [side, side, channels]
    }
    result.config.firstStage.scale = .factor(
      try given.number("model.params.scale_factor", as: "first_stage.scale"))
    let weights = "model.params.first_stage_cfg.params.ckpt_path"
    if let file = given.text(weights) {
      given.note(weights, .mapped, "first_stage.path")
      result.config.firstStage.stage = .autoencoder(path: file)
    } else {
      result.config.firstStage.stage = .identity
    }
    // FMBoost encodes with the mean of the posterior.
    result.config.data.posterior = .mode
  }

  private mutating func readPath() throws {
    let schedule = "model.params.fm_cfg.params.schedule"
    switch given.text(schedule) {
    case "linear":
      result.config.path = .linear(
        sigmaMin: try given.number(
          "model.params.fm_cfg.params.sigma_min", as: "path.sigma_min"))
    case "gvp": result.config.path = .gvp
    default: throw given.wrong(schedule, "linear or gvp")
    }
    given.note(schedule, .mapped, "path.kind")
    result.config.time = .uniform
  }

  private mutating func readOptimizer() throws {
    var adam = OptimizerConfig.Adam()
    adam.lr = try given.number("model.params.lr", as: "optimizer.lr")
    adam.weightDecay = try given.number(
      "model.params.weight_decay", as: "optimizer.weight_decay, of Adam")
    result.config.optimizer = .adam(adam)
    result.config.training.clip = nil
    var ema = EMAConfig()
    ema.decay = try given.number("model.params.ema_rate", as: "ema.decay")
    var law = EMAConfig.PowerLaw()
    law.power = 0.75
    law.updateEvery = try given.integer(
      "model.params.ema_update_every", as: "ema.update_every")
    law.updateAfter = try given.integer(
      "model.params.ema_update_after_step", as: "ema.update_after_step")
    ema.kind = .power(law)
    result.config.ema = ema
    try readSchedule()
  }

  private mutating func readSchedule() throws {
    let path = "model.params.lr_scheduler_cfg."
    result.config.schedule = .constant(warmup: 0)
    guard let target = given.text(path + "target") else { return }
    let warmup = try given.integer(path + "params.num_warmup_steps", as: "schedule.warmup")
    if target.hasSuffix(".get_constant_schedule_with_warmup") {
      given.note(path + "target", .mapped, "schedule.kind constant")
      result.config.schedule = .constant(warmup: warmup)
    } else if target.hasSuffix(".get_cosine_schedule_with_warmup") {
      given.note(path + "target", .mapped, "schedule.kind cosine")
      result.config.training.steps = try given.integer(
        path + "params.num_training_steps", as: "training.steps")
      given.noteIfGiven(
        path + "params.num_cycles", .unsupported, "half a cosine, num_cycles 0.5")
      result.config.schedule = .cosine(warmup: warmup, final: 0)
    } else {
      throw given.wrong(path + "target", "a schedule of fmboost.lr_schedulers")
    }
  }

  private mutating func readTrainer(
    _ options: [(name: String, value: String, ImportedField.Outcome, String)]
  ) throws {
    func option(_ name: String) -> Int? {
      options.last { $0.name == name }.flatMap { Int($0.value) }
    }
    result.config.seed = UInt64(max(0, option("seed") ?? 2024))
    let trainer = "train.trainer_params."
    let ranks = max(1, option("devices") ?? 1) * max(1, option("num_nodes") ?? 1)
    var batch = ranks
    if given.isGiven(trainer + "accumulate_grad_batches") {
      batch *= max(
        1,
        try given.integer(
          trainer + "accumulate_grad_batches", as: "training.micro_batch × micro_batches"))
    }
    if given.isGiven("data.params.batch_size") {
      batch *= max(
        1,
        try given.integer(
          "data.params.batch_size", as: "training.micro_batch × micro_batches, of all devices"))
      let (size, count) = try microBatches(of: batch, ranks: ranks, subject: given.subject)
      (result.config.training.microBatch, result.config.training.microBatches) = (size, count)
    } else {
      result.advice.append(
        "the file has no data.params.batch_size: set training.micro_batch and micro_batches")
    }
    if given.isGiven(trainer + "max_steps"), try given.integer(trainer + "max_steps") > 0 {
      result.config.training.steps = try given.integer(trainer + "max_steps", as: "training.steps")
    } else if given.text("model.params.lr_scheduler_cfg.params.num_training_steps") == nil {
      result.config.training.steps = 1_000_000
      result.advice.append("the file trains until it is stopped: training.steps is 1,000,000")
    }
    let saving = "train.checkpoint_callback_params.every_n_train_steps"
    if given.isGiven(saving) {
      result.config.checkpoint.every = try given.integer(saving, as: "checkpoint.every")
    }
    if given.isGiven(trainer + "log_every_n_steps") {
      result.config.log.every = try given.integer(trainer + "log_every_n_steps", as: "log.every")
    }
    if given.isGiven(trainer + "gradient_clip_val") {
      result.config.training.clip = try given.number(
        trainer + "gradient_clip_val", as: "training.clip")
    }
    if given.isGiven(trainer + "val_check_interval") {
      given.note(trainer + "val_check_interval", .ignored, "there is no validation in training")
    }
  }

  /// A line for every field that nobody has read, in the file's order.
  private mutating func noteOthers() {
    let read = Set(given.fields.map(\.name))
    for path in order where !read.contains(path) {
      if path.hasSuffix("trainer_params.precision"), given.text(path)?.hasPrefix("32") ?? false {
        given.note(path, .kept, "computes in float32")
      } else if given.text(path)?.lowercased() == "false" {
        given.note(path, .kept, "off, as it always is")
      } else if let other = Self.others.first(where: { path.hasPrefix($0.prefix) }) {
        given.note(path, other.1, other.2)
      } else {
        given.note(path, .unsupported, "not known")
      }
    }
    let places = Dictionary(
      order.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    result.fields = given.fields.sorted {
      (places[$0.name] ?? Int.max, $0.name) < (places[$1.name] ?? Int.max, $1.name)
    }
  }
}

extension ConfigNode {
  /// Values by their full names, in the order of the file; lists are values.
  func leaves(under prefix: String = "") -> [(path: String, node: ConfigNode)] {
    guard case .mapping(let entries) = content else { return [(prefix, self)] }
    return entries.flatMap {
      $0.value.leaves(under: prefix.isEmpty ? $0.key : "\(prefix).\($0.key)")
    }
  }
}
