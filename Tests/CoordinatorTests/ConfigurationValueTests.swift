import Coordinator
import Diagnostics
import Testing

private func read(_ yaml: String, _ overrides: String...) throws -> RunConfig {
  try RunConfig(ConfigDocument(text: yaml, name: "x.yaml", overrides: overrides))
}

@Suite struct ConfigurationValues {
  @Test("nothing set is all defaults", arguments: ["", "# comment\n", "---\n", "null\n", "{}\n"])
  func defaults(_ yaml: String) throws { #expect(try read(yaml) == RunConfig()) }

  @Test("fields take the values of the file")
  func values() throws {
    let config = try read(
      """
      seed: 18446744073709551615
      model: {size: XL/2, classes: 1000}
      path: {kind: linear}
      time: {kind: logit_normal, mean: -0.5, std: 1.2}
      training: {clip: null, micro_batches: 8, reduction: mpi}
      optimizer: {lr: 3e-4, betas: [0.9, 0.95], weight_decay: .1}
      schedule: {kind: constant, warmup: 0}
      ema: {kind: power, decay: 0.9999, power: 0.75}
      first_stage: {kind: identity, scale: 0.5}
      data: {placement: scatter, posterior: mode, flip: 1}
      """)
    #expect(config.seed == .max)
    guard case .dit(let dit) = config.model else { return }
    #expect([dit.width, dit.depth, dit.heads, dit.patch, dit.classes] == [1152, 28, 16, 2, 1000])
    #expect(config.path == .linear(sigmaMin: 0))
    #expect(config.time == .logitNormal(mean: -0.5, std: 1.2))
    #expect(config.training.clip == nil && config.training.globalBatch == 64)
    #expect(config.training.reduction == .mpi)
    guard case .adamw(let adamw) = config.optimizer else { return }
    #expect(adamw.lr == 3e-4 && adamw.betas == [0.9, 0.95] && adamw.weightDecay == 0.1)
    #expect(config.schedule == .constant(warmup: 0))
    var law = EMAConfig.PowerLaw()
    law.power = 0.75
    #expect(config.ema?.kind == .power(law) && config.ema?.decay == 0.9999)
    #expect(config.firstStage.stage == .identity && config.firstStage.scale == .factor(0.5))
    #expect(config.data.placement == .scatter && config.data.posterior == .mode)
    #expect(config.data.flip == 1)
  }

  @Test("overrides win over the file, the last one over all")
  func overrides() throws {
    let config = try read(
      "ema: null\noptimizer: {lr: 1}\n", "optimizer.lr=2e-4", "optimizer.betas=[0.5,0.6]",
      "ema.decay=0.5", "optimizer.lr=1e-5", "data.cache='a b'", "training.clip=null")
    guard case .adamw(let adamw) = config.optimizer else { return }
    #expect(adamw.lr == 1e-5 && adamw.betas == [0.5, 0.6])
    #expect(config.ema?.decay == 0.5)
    #expect(config.data.cache == "a b" && config.training.clip == nil)
    #expect(try read("ema: {decay: 0.9}", "ema=null").ema == nil)
    #expect(try read("first_stage: {path: p}", "first_stage.kind=identity",
      "first_stage.path=null").firstStage.stage == .identity)
  }

  static let resolved: [String] = [
    "", "ema: null\n", "model: {size: B/4}", "model: {classes: 0}",
    "path: {kind: gvp}", "path: {kind: linear, sigma_min: 0.001}",
    "time: {kind: logit_normal}", "schedule: {kind: linear, final: 0.1}",
    "schedule: {kind: constant}", "first_stage: {kind: identity, scale: 0.18215}",
    "ema: {kind: power, min_value: 0.25, update_every: 10}",
    "optimizer: {lr: 1.2345678901234567e-7, betas: [0, 0.3333333333333333]}",
    "data: {cache: \"tab\\t, quote \\\", back\\\\, line\\n, é 雪 🎨\"}", "data: {cache: \"true\"}",
    "data: {cache: \"12\"}", "data: {cache: \"\"}", "data: {cache: \"a: b #c\"}",
    "data: {images: photos, size: 64, prefetch: 0, broken: skip}",
    "data: {cache: ../x-y_z/1.0}", "training: {clip: null}", "seed: 18446744073709551615",
  ]

  @Test("the resolved file reads back as the same configuration", arguments: resolved)
  func roundTrip(_ yaml: String) throws {
    let config = try read(yaml)
    let again = try read(config.yaml)
    #expect(again == config)
    #expect(again.yaml == config.yaml && again.fingerprint == config.fingerprint)
    #expect(yaml.isEmpty || config != RunConfig())
  }

  @Test("the resolved file of the defaults, as a person reads it")
  func text() {
    #expect(
      RunConfig().yaml.hasPrefix(
        """
        seed: 0
        model:
          kind: dit
          size: null
          width: 192
          depth: 6
          heads: 6
          patch: 4
          mlp_ratio: 4.0
          classes: 16
          label_dropout: 0.1
          time_scale: 1.0
        first_stage:
          kind: autoencoder
          path: models/shapes-autoencoder
          scale: auto
        data:
          cache: data/shapes/latents
          latent_shape: null
          placement: local
          posterior: sample
          flip: 0.0
        path:
          kind: noising
          sigma_min: 1.0e-05
        time:
          kind: uniform
        training:
          steps: 5000

        """))
    #expect(RunConfig().yaml.contains("  betas: [0.9, 0.999]\n"))
  }

  @Test("the fingerprint is a fixed function of the values")
  func fingerprint() throws {
    #expect(RunConfig().fingerprint == "9c7e839908193efa")
    #expect(try read("seed: 0 # same\n").fingerprint == RunConfig().fingerprint)
    #expect(try read("seed: 1\n").fingerprint != RunConfig().fingerprint)
  }

  @Test("the autoencoder's configuration reads back too")
  func autoencoder() throws {
    let yaml = "model: {channels: 16, multipliers: [1, 3], groups: 4}\nloss: {kl_weight: 1e-5}\n"
    let config = try AutoencoderRunConfig(ConfigDocument(text: yaml, name: "x"))
    #expect(config.model.multipliers == [1, 3] && config.model.downsampling == 2)
    #expect(config.loss.klWeight == 1e-5 && config.ema == nil)
    let again = try AutoencoderRunConfig(ConfigDocument(text: config.yaml, name: "y"))
    #expect(again == config && config != AutoencoderRunConfig())
  }

  @Test("a resumed run may change how long and how often, not what")
  func resume() throws {
    let old = try read("optimizer: {lr: 3e-4}\nema: {decay: 0.9}")
    let new = try read(
      "optimizer: {lr: 1e-4}\nema: null\ntraining: {steps: 9}\nlog: {every: 1}\n"
        + "samples: {every: 5}\n")
    #expect(
      new.difference(from: old) == [
        "training.steps: 5000 → 9", "optimizer.lr: 0.0003 → 0.0001", "ema: absent → null",
        "log.every: 20 → 1", "samples.every: 0 → 5", "ema.decay: 0.9 → absent",
        "ema.kind: constant → absent",
      ])
    #expect(new.changes(from: old).map(\.isAllowedOnResume) == [
      true, false, false, true, true, false, false,
    ])
    #expect(old.difference(from: old).isEmpty)
    let error = try #require(throws: UserError.self) { try new.checkResumes(old, run: "runs/x") }
    #expect(error.status == .config && error.subject == "runs/x")
    #expect(error.advice?.hasPrefix("optimizer.lr: 0.0003 → 0.0001\n  ema: absent → null") == true)
    var longer = old
    longer.training.steps = 10
    longer.checkpoint.every = 1
    try longer.checkResumes(old, run: "runs/x")
  }
}
