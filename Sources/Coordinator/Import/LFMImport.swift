import Diagnostics
import FlowCore

/// LFM's options as a run configuration.
struct LFMImport {
  private let given: ForeignFields
  private var run: ImportedRun
  /// Processes that share a step.
  private let processes: Int
  /// Images of the data set, where they are counted.
  private let images: Int?

  /// A command line of one of LFM's scripts.
  ///
  /// - Parameter images: of the data set; nil takes what is known of the sets that LFM names.
  static func run(_ line: LFMCommandLine, images: Int? = nil) throws -> ImportedRun {
    var standards = LFMOption.all.reduce(into: [:]) { $0[$1.name] = $1.standard }
    if line.isSampling { standards.merge(LFMOption.samplingStandards) { $1 } }
    // Its inpainting and its semantic synthesis know the original ADM alone.
    if line.isInpainting || line.isSemantic { standards["use_origin_adm"] = "true" }
    let subject = line.script ?? "options of LFM"
    let given = fields(line.options, standards: standards, subject: subject)
    var importer = LFMImport(
      given, "\(line.isSampling ? "sampling" : "training") command of LFM",
      processes: line.processes, images: images)
    try importer.read(trains: !line.isSampling, samples: line.isSampling)
    if line.isInpainting { importer.readInpainting() }
    if line.isSemantic { importer.readSemantic() }
    importer.noteLauncher(line)
    return importer.finish()
  }

  /// An argument file of LFM's test scripts.
  static func run(_ file: LFMArgumentFile, name: String) throws -> ImportedRun {
    var standards = LFMOption.all.reduce(into: [:]) { $0[$1.name] = $1.standard }
    standards.merge(LFMOption.samplingStandards) { $1 }
    let written = Set(file.variables.keys.compactMap { LFMArgumentFile.names[$0] })
    // What the scripts add is a default of theirs.
    for (option, values) in file.options where !written.contains(option) {
      standards[option] = values.joined(separator: " ")
    }
    let given = fields(
      file.options.filter { written.contains($0.key) }, standards: standards, subject: name)
    var importer = LFMImport(
      given, "argument file of LFM, \(name)", processes: 1, images: nil)
    try importer.read(trains: false, samples: true)
    for (variable, value) in file.unknown {
      let near = nearestName(to: variable, among: LFMArgumentFile.names.keys.sorted())
      importer.run.fields.append(
        ImportedField(
          name: variable, value: value, isDefault: false, outcome: .ignored,
          note: "no script of LFM reads it" + (near.map { "; did you mean \($0)?" } ?? "")))
    }
    return importer.finish()
  }

  /// The configuration that LFM's training leaves in its folder: its options, as YAML.
  static func run(saved document: ConfigDocument, images: Int? = nil) throws -> ImportedRun {
    guard case .mapping(let entries) = document.root.content else {
      preconditionFailure("a document is a mapping")
    }
    var options: [String: [String]] = [:]
    var unknown: [ConfigNode.Entry] = []
    for entry in entries {
      guard LFMOption.all.contains(where: { $0.name == entry.key }) else {
        unknown.append(entry)
        continue
      }
      if !entry.value.isNull { options[entry.key] = entry.value.texts }
    }
    let standards = LFMOption.all.reduce(into: [:]) { $0[$1.name] = $1.standard }
    var importer = LFMImport(
      fields(options, standards: standards, subject: document.name),
      "configuration that LFM saved, \(document.name)", processes: 1, images: images)
    try importer.read(trains: true, samples: false)
    for entry in unknown {
      importer.run.fields.append(
        ImportedField(
          name: entry.key, value: entry.value.summary, isDefault: false, outcome: .ignored,
          note: "no option of LFM"))
    }
    return importer.finish()
  }

  private static func fields(
    _ options: [String: [String]], standards: [String: String], subject: String
  ) -> ForeignFields {
    var values = standards.mapValues {
      ForeignFields.Value(texts: $0.split(separator: " ").map(String.init), isDefault: true)
    }
    for (name, texts) in options { values[name] = .init(texts: texts, isDefault: false) }
    return ForeignFields(subject: subject, values)
  }

  private init(_ given: ForeignFields, _ origin: String, processes: Int, images: Int?) {
    self.given = given
    run = ImportedRun(origin: origin)
    self.processes = processes
    self.images = images ?? given.text("dataset").flatMap { LFMDataset.named($0)?.images }
  }

  private func finish() -> ImportedRun {
    given.noteUnread("changes nothing here")
    var result = run
    result.fields = given.fields + run.fields
    return result
  }

  private mutating func read(trains: Bool, samples: Bool) throws {
    run.config.model = try LFMNetwork(given).model()
    try readLatents()
    run.config.path = .noising(sigmaMin: 1e-5)
    run.config.time = .uniform
    if trains {
      try readTraining()
    } else {
      given.note("dataset", .kept, "it names the weights' folder")
      run.config.data.cache = LFMDataset.cache(of: given.text("dataset") ?? "")
      run.advice.append("no training recipe in it: configs/lfm/ has those of LFM's experiments")
      given.noteIfGiven("seed", .ignored, "give sample --seed")
      given.noteIfGiven("batch_size", .ignored, "a work item of samples has a size of its own")
    }
    if samples { try readSampling() }
    for (name, reason) in LFMOption.ignored { given.noteIfGiven(name, .ignored, reason) }
    given.noteIfGiven(
      "use_wandb", .mapped, "log.tensorboard: runs log to TensorBoard, not to Weights & Biases")
  }

  private mutating func readLatents() throws {
    let size = try given.integer("image_size", as: "data.latent_shape, image_size / f")
    let factor = try given.integer("f", as: "data.latent_shape, image_size / f")
    let channels = try given.integer("num_out_channels", as: "data.latent_shape")
    guard factor > 0, size > 0, size % factor == 0, channels > 0 else {
      throw given.wrong("image_size", "a multiple of f, \(factor)")
    }
    run.config.data.latentShape = [size / factor, size / factor, channels]
    run.config.firstStage.scale = .factor(
      try given.number("scale_factor", as: "first_stage.scale"))
    let stage = given.text("pretrained_autoencoder_ckpt") ?? ""
    given.note(
      "pretrained_autoencoder_ckpt", .mapped,
      "first_stage.path, a file or folder on this machine")
    run.config.firstStage.stage = .autoencoder(path: stage)
  }

  // MARK: - Training

  private mutating func readTraining() throws {
    try readOptimizer()
    let set = given.text("dataset") ?? ""
    given.note("dataset", .mapped, "data.cache")
    run.config.data.cache = LFMDataset.cache(of: set)
    run.config.data.posterior = .sample
    run.config.data.flip = 0.5
    run.config.seed = UInt64(max(0, try given.integer("seed", as: "seed")))
    given.noteIfGiven("exp", .kept, "as the name of the run folder: train --run runs/NAME")
    given.noteIfGiven("datadir", .kept, "give it to latentflow encode")
    given.noteIfGiven("resume", .kept, "train resumes by itself")
    let side = try given.integer("image_size")
    run.advice.append(
      "latentflow encode \(oneLine(given.text("datadir") ?? "IMAGES")) --size \(side) --flips "
        + "--autoencoder \(oneLine(given.text("pretrained_autoencoder_ckpt") ?? "")) "
        + "--out \(oneLine(run.config.data.cache))")
    if LFMDataset.named(set)?.hasLabels != true, run.config.model.classes > 0 {
      run.advice.append(
        "the reference trains without labels on \(oneLine(set)): set model.classes=0")
    }
  }

  /// Strokes and boxes, half and half; pictures are not mirrored, and grids not drawn.
  private mutating func readInpainting() {
    run.config.inpainting = InpaintingConfig()
    run.config.data.flip = 0
    run.config.samples = SamplesConfig()
    run.weights = run.weights?.replacing("latent_flow/", with: "latent_flow_inpaint/")
    given.noteIfGiven("plot_every", .ignored, "`latentflow inpaint` draws grids")
  }

  /// Label maps, halved three times; pictures are not mirrored, and grids not drawn.
  private mutating func readSemantic() {
    let set = given.text("dataset") ?? ""
    var semantic = SemanticConfig()
    semantic.classes = set.hasPrefix("ade20k") ? 151 : set.hasPrefix("coco") ? 182 : 19
    run.config.semantic = semantic
    run.config.data.flip = 0
    run.config.samples = SamplesConfig()
    given.noteIfGiven("plot_every", .ignored, "`latentflow synthesize` draws grids")
    run.advice.append("encode with --masks: the network sees the label maps")
  }

  private mutating func readOptimizer() throws {
    let perProcess = try given.integer(
      "batch_size", as: "training.micro_batch × training.micro_batches, over all processes")
    guard perProcess > 0 else { throw given.wrong("batch_size", "at least 1") }
    let batch = perProcess * processes
    let (size, count) = try microBatches(of: batch, ranks: processes, subject: given.subject)
    (run.config.training.microBatch, run.config.training.microBatches) = (size, count)
    run.config.training.clip = nil
    var adam = OptimizerConfig.Adam()
    adam.lr = try given.number("lr", as: "optimizer.lr")
    guard adam.lr > 0 else { throw given.wrong("lr", "a number above 0") }
    run.config.optimizer = .adamw(adam)
    if given.isGiven("use_ema") {
      given.note("use_ema", .mapped, "ema.kind constant")
      var ema = EMAConfig()
      ema.decay = try given.number("ema_decay", as: "ema.decay")
      run.config.ema = ema
    } else {
      run.config.ema = nil
      given.noteIfGiven("ema_decay", .ignored, "LFM reads it with --use_ema only")
    }
    readSchedule(adam.lr)
    try readLengths(batch: batch)
  }

  private mutating func readSchedule(_ rate: Double) {
    if given.isGiven("no_lr_decay") || rate <= 1e-5 {
      run.config.schedule = .constant(warmup: 0)
      given.noteIfGiven("no_lr_decay", .mapped, "schedule.kind constant")
    } else {
      run.config.schedule = .cosine(warmup: 0, final: 1e-5 / rate)
      given.note(
        "no_lr_decay", .mapped, "schedule.kind cosine, down to 1e-5, by steps instead of epochs")
    }
  }

  /// Epochs become steps.
  private mutating func readLengths(batch: Int) throws {
    let epochs = try given.integer("num_epoch")
    guard let images, images >= batch else {
      given.note(
        "num_epoch", .unsupported,
        "training.steps needs the number of images: give import-config --images N")
      return
    }
    let perEpoch = images / batch
    let steps = perEpoch * max(1, epochs)
    run.config.training.steps = steps
    given.note(
      "num_epoch", .mapped,
      "training.steps, \(grouped(perEpoch)) of \(batch) in an epoch of \(grouped(images)) images")
    let isFull = given.isGiven("save_content")
    given.noteIfGiven(
      "save_content", .kept, "every checkpoint holds optimizer and schedule")
    let every = try given.integer(
      isFull ? "save_content_every" : "save_ckpt_every", as: "checkpoint.every, in steps")
    run.config.checkpoint.every = max(0, every) * perEpoch
    given.noteIfGiven(
      isFull ? "save_ckpt_every" : "save_content_every", .ignored,
      "there is one kind of checkpoint")
    run.config.samples.every =
      max(0, try given.integer("plot_every", as: "samples.every, in steps")) * perEpoch
    run.config.samples.count = 4
    run.config.samples.guidance = 1
    run.config.samples.solver = .dopri5
    run.config.log.every = 100
  }

  // MARK: - Sampling

  private mutating func readSampling() throws {
    let method = given.text("method") ?? "dopri5"
    guard let tableau = ButcherTableau.named(method) else {
      let near = nearestName(to: method, among: ButcherTableau.all.map(\.name))
      throw UserError(
        .config, given.subject, at: "method", found: "found \(oneLine(method))",
        expected: "one of " + ButcherTableau.all.map(\.name).joined(separator: ", "),
        advice: near.map { "did you mean \($0)?" })
    }
    given.note("method", .mapped, "sample --solver")
    var sampling = ImportedSampling(
      solver: method, guidance: try given.number("cfg_scale", as: "sample --cfg"))
    if tableau.isAdaptive {
      sampling.relativeTolerance = try given.number("rtol", as: "sample --rtol")
      sampling.absoluteTolerance = try given.number("atol", as: "sample --atol")
      for name in ["num_steps", "step_size"] {
        given.noteIfGiven(name, .ignored, "\(method) chooses its own steps")
      }
    } else if given.isGiven("num_steps"), try given.integer("num_steps") > 0 {
      sampling.steps = try given.integer("num_steps", as: "sample --steps")
    } else {
      let size = try given.number("step_size", as: "sample --steps, 1 / step_size")
      guard size > 0, size <= 1 else { throw given.wrong("step_size", "above 0, at most 1") }
      sampling.steps = Int((1 / size).rounded())
    }
    given.noteIfGiven("perturb", .unsupported, "the grid's points are exact")
    given.noteIfGiven(
      "use_karras_samplers", .unsupported, "the solver integrates the same field without churn")
    run.sampling = sampling
    run.config.samples.guidance = 1
    let (exp, set) = (given.text("exp") ?? "", given.text("dataset") ?? "")
    given.note("exp", .kept, "it names the weights' folder")
    given.note("epoch_id", .kept, "it names the weights' file")
    run.weights =
      "saved_info/latent_flow/\(set)/\(exp)/model_\(given.text("epoch_id") ?? "").pth"
    run.advice.append("weights: \(oneLine(run.weights!))")
  }

  private mutating func noteLauncher(_ line: LFMCommandLine) {
    for (name, value) in line.launcher {
      let (outcome, note): (ImportedField.Outcome, String) =
        switch name {
        case "num_processes", "nproc_per_node", "nproc-per-node", "nnodes":
          (.mapped, "the batch counts them; give it to scripts/run.sh or mpirun -np")
        case "mixed_precision" where value != "no":
          (.unsupported, "computes in float32, which is more exact and slower")
        case "mixed_precision": (.kept, "computes in float32")
        default: (.ignored, "an option of the launcher")
        }
      run.fields.append(
        ImportedField(
          name: name, value: value, isDefault: false, outcome: outcome, note: note))
    }
    for name in ["num_proc_node", "num_process_per_node"] {
      given.noteIfGiven(
        name, .mapped, "the batch counts them; give it to scripts/run.sh or mpirun -np")
    }
  }
}

/// A data set that LFM's scripts know by name.
struct LFMDataset {
  /// That one epoch of LFM's loaders sees.
  let images: Int
  let hasLabels: Bool

  /// The folder that holds its latents here.
  static func cache(of name: String) -> String {
    "data/\(name.replacing("/", with: "-"))-latents"
  }

  static func named(_ name: String) -> LFMDataset? {
    let bare = name.hasPrefix("latent_") ? String(name.dropFirst(7)) : name
    return switch bare {
    case "cifar10": LFMDataset(images: 50_000, hasLabels: false)
    case "celeba_256": LFMDataset(images: 27_000, hasLabels: false)
    case "celeba_512", "celeba_1024": LFMDataset(images: 30_000, hasLabels: false)
    case "ffhq_256": LFMDataset(images: 63_000, hasLabels: false)
    // The first 120,000 of each.
    case "lsun_church", "lsun_bedroom": LFMDataset(images: 120_000, hasLabels: false)
    case "imagenet_256": LFMDataset(images: 1_281_167, hasLabels: true)
    default: nil
    }
  }
}

extension ConfigNode {
  /// A value's texts: one, or those of a list.
  var texts: [String] {
    switch content {
    case .plain(let text), .quoted(let text): [text]
    case .sequence(let items): items.flatMap(\.texts)
    case .mapping: []
    }
  }
}
