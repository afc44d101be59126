import Coordinator
import Foundation
import Testing

@Suite(.serialized) struct ImportFMBoostTests {
  /// The fields that a configuration of FMBoost for 512² → 1024² has.
  static let yaml = """
    model:
      target: fmboost.trainer.TrainerFMBoost
      params:
        low_res_size: 512
        high_res_size: 1024
        upsampling_mode: psu
        start_from_noise: False
        noising_step: 400
        concat_context: True
        ca_context: False
        fm_cfg:
          target: fmboost.flow.FlowModel
          params:
            schedule: linear
            net_cfg:
              target: fmboost.models.unet.model.EfficientUNet
              params:
                in_channels: 8
                model_channels: 128
                out_channels: 4
                num_res_blocks: 3
                channel_mult: [1, 2, 4, 8]
                attention_resolutions: [8, 16]
                dropout: 0.0
                conv_resample: True
                dim_head: 64
                num_heads: 4
                use_linear_attn: False
                use_scale_shift_norm: True
                pool_factor: -1
        scale_factor: 0.18215
        first_stage_cfg:
          target: fmboost.kl_autoencoder.AutoencoderKL
          params: { ckpt_path: models/sd-vae }
        lr: 3e-5
        weight_decay: 0.0
        ema_rate: 0.999
        ema_update_every: 1
        ema_update_after_step: 1000
        use_ema_for_sampling: True
        lr_scheduler_cfg:
          target: fmboost.lr_schedulers.get_constant_schedule_with_warmup
          params: { num_warmup_steps: 1000 }
        log_grad_norm: True
    data:
      name: faces
      target: SomeDataModule
    train:
      checkpoint_callback_params: { every_n_train_steps: 10000, save_top_k: -1, save_last: True }
      trainer_params:
        max_epochs: -1
        accumulate_grad_batches: 1
        log_every_n_steps: 50
        precision: bf16-mixed
      callbacks:
        - target: pytorch_lightning.callbacks.LearningRateMonitor
    """

  private struct Report: Decodable {
    struct Field: Decodable {
      var name: String
      var outcome: String
      var note: String
    }

    var config: String
    var fields: [Field]

    func line(_ name: String) -> String? {
      fields.first { $0.name.hasSuffix(name) }.map { "\($0.outcome): \($0.note)" }
    }
  }

  private func report(_ words: String...) throws -> Report {
    let folder = try ScratchFolder()
    let file = try folder.write(Self.yaml, to: "x.yaml")
    let answer = try latentflow(
      ["import-config", "--json"] + words.map { $0 == "FILE" ? file : $0 })
    try #require(answer.status == 0, "\(answer)")
    return try JSONDecoder().decode(Report.self, from: Data(answer.output.utf8))
  }

  @Test("FMBoost's configuration is the preset")
  func preset() throws {
    let found = try report("FILE", "data.params.batch_size=32")
    let run = try RunConfig(ConfigDocument(text: found.config, name: "x"))
    let preset = try RunConfig.load(file: repository("configs/fmboost/upscale-64-128.yaml"))
    // The preset names its cache, and draws no other samples.
    #expect(
      try run.difference(from: preset)
        == ["data.cache: data/highres-latents → data/shapes/latents"])
  }

  @Test("every field leaves a line")
  func everyField() throws {
    let found = try report(
      "python", "train.py", "--config", "FILE", "data.params.batch_size=2", "--devices", "4",
      "--use_wandb", "--name", "one", "model.params.lr=1e-3")
    #expect(found.line("--use_wandb")?.contains("log to TensorBoard") == true)
    #expect(found.line("model_channels") == "mapped: model.channels")
    #expect(found.line("low_res_size") == "mapped: coupling.low_size")
    #expect(found.line("noising_step") == "mapped: coupling.noising_step")
    #expect(found.line("precision") == "unsupported: computes in float32")
    #expect(found.line("log_grad_norm")?.hasPrefix("kept: ") == true)
    #expect(found.line("train.callbacks")?.hasPrefix("kept: ") == true)
    let leaves = Self.yaml.split(separator: "\n").compactMap { line in
      line.contains(": ") && !line.contains("{") ? line.split(separator: ":")[0] : nil
    }.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.hasPrefix("-") }
    for leaf in leaves { #expect(found.line(leaf) != nil, "nothing about \(leaf)") }
    let run = try RunConfig(ConfigDocument(text: found.config, name: "x"))
    // 2 on each of 4 devices.
    #expect(run.training.microBatch * run.training.microBatches == 8)
    #expect(run.training.microBatches == 4 && run.seed == 2024)
    guard case .adam(let adam) = run.optimizer else { throw Failure() }
    #expect(adam.lr == 1e-3)
  }

  private struct Failure: Error {}

  @Test(
    "what cannot be understood is refused with its place",
    arguments: [
      ("model.params.fm_cfg.params.net_cfg.target=a.B", "expected a class EfficientUNet"),
      ("model.params.fm_cfg.params.schedule=cosine", "found cosine; expected linear or gvp"),
      ("model.params.lr=${x.y}", "an interpolation"), ("model.params.lr=fast", "expected a number"),
      ("model.target=other.Thing", "neither model.target nor model_type"),
      ("--use_wandbb", "no such option.\n  did you mean --use_wandb?"),
    ])
  func refusals(_ word: String, _ message: String) throws {
    let folder = try ScratchFolder()
    let file = try folder.write(Self.yaml, to: "x.yaml")
    let answer = try latentflow("import-config", file, word)
    #expect([64, 78].contains(answer.status) && answer.errors.contains(message), "\(answer)")
  }
}
