import Coordinator
import Foundation
import Testing

/// What `import-config --json` answers.
private struct Imported: Decodable {
  struct Field: Decodable {
    var name: String
    var value: String
    var isDefault: Bool
    var outcome: String
    var note: String
  }

  var origin: String
  var config: String
  var weights: String?
  var fields: [Field]
  var advice: [String]

  var run: RunConfig {
    get throws { try RunConfig(ConfigDocument(text: config, name: "imported")) }
  }

  func field(_ name: String) -> String? {
    fields.first { $0.name == name }.map { "\($0.outcome): \($0.note)" }
  }
}

private func imported(_ words: [String]) throws -> Imported {
  let answer = try latentflow(["import-config", "--json"] + words)
  try #require(answer.status == 0, "\(answer)")
  return try JSONDecoder().decode(Imported.self, from: Data(answer.output.utf8))
}

/// A folder of the repository.
func repository(_ path: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent(path).path
}

/// A training command of LFM, and the preset that says the same.
struct TrainingCommand: Sendable, CustomTestStringConvertible {
  var preset: String
  var processes = 1
  var script = "train_flow_latent.py"
  var options: String

  var testDescription: String { preset }

  var words: [String] {
    let common = """
      --image_size 256 --f 8 --num_in_channels 4 --num_out_channels 4 --nf 256 --num_res_blocks 2
      --scale_factor 0.18215 --save_content --save_content_every 10
      --pretrained_autoencoder_ckpt models/sd-vae-ft-mse
      """
    return ["accelerate", "launch", "--num_processes", "\(processes)", script]
      + common.split(whereSeparator: \.isWhitespace).map(String.init)
      + options.split(whereSeparator: \.isWhitespace).map(String.init)
  }

  static let all: [TrainingCommand] = [
    .init(
      preset: "celeba256-adm",
      options: """
        --dataset celeba_256 --batch_size 112 --num_epoch 500 --ch_mult 1 2 2 2 --lr 2e-5
        --attn_resolution 16 8 --use_origin_adm
        """),
    .init(
      preset: "celeba256-dit-l2",
      options: """
        --dataset celeba_256 --batch_size 32 --num_epoch 500 --lr 2e-4 --no_lr_decay
        --model_type DiT-L/2 --num_classes 1 --label_dropout 0.
        """),
    .init(
      preset: "celeba512-adm", processes: 8,
      options: """
        --dataset celeba_512 --batch_size 6 --num_epoch 1000 --image_size 512 --lr 2e-5
        --ch_mult 1 2 2 2 4 --attn_resolution 16 8 --no_lr_decay --use_origin_adm
        """),
    .init(
      preset: "celeba1024-adm", processes: 8,
      options: """
        --dataset celeba_1024 --batch_size 6 --num_epoch 1000 --image_size 1024 --lr 2e-5
        --ch_mult 1 1 2 2 4 4 --attn_resolution 16 8 --no_lr_decay
        """),
    .init(
      preset: "ffhq256-adm",
      options: """
        --dataset ffhq_256 --batch_size 128 --num_epoch 500 --ch_mult 1 2 3 4 --lr 2e-5
        --attn_resolutions 16 8 4
        """),
    .init(
      preset: "ffhq256-dit-l2",
      options: """
        --dataset ffhq_256 --batch_size 32 --num_epoch 500 --lr 2e-4 --model_type DiT-L/2
        --num_classes 1 --label_dropout 0.
        """),
    .init(
      preset: "bedroom256-adm",
      options: """
        --dataset lsun_bedroom --batch_size 128 --num_epoch 500 --ch_mult 1 2 3 4 --lr 1e-5
        --attn_resolution 16 8 4 --no_lr_decay
        """),
    .init(
      preset: "bedroom256-dit-l2",
      options: """
        --dataset lsun_bedroom --batch_size 32 --num_epoch 600 --lr 1e-4 --no_lr_decay
        --model_type DiT-L/2 --num_classes 1 --label_dropout 0.
        """),
    .init(
      preset: "church256-dit-l2", processes: 2,
      options: """
        --dataset lsun_church --batch_size 48 --num_epoch 600 --lr 1e-4 --no_lr_decay
        --model_type DiT-L/2 --num_classes 1 --label_dropout 0.
        """),
    .init(
      preset: "imagenet256-adm", processes: 8,
      options: """
        --dataset imagenet_256 --batch_size 96 --num_epoch 1200 --label_dim 1000 --lr 1e-4
        --num_classes 1000 --ch_mult 1 2 3 4 --attn_resolution 16 8 4 --no_lr_decay
        """),
    .init(
      preset: "imagenet256-dit-b2", processes: 8,
      options: """
        --dataset imagenet_256 --batch_size 160 --num_epoch 1000 --label_dim 1000 --lr 1e-4
        --model_type DiT-B/2 --num_classes 1000 --label_dropout 0.1 --no_lr_decay
        --use_grad_checkpointing
        """),
    .init(
      preset: "celeba256-inpainting", script: "downstream_tasks/train_flow_latent_inpainting.py",
      options: """
        --dataset celeba_256 --batch_size 64 --num_epoch 500 --lr 5e-5 --num_in_channels 9
        --ch_mult 1 2 3 4 --attn_resolution 16 8 --num_process_per_node 2
        """),
    .init(
      preset: "celeba256-semantic", script: "downstream_tasks/train_flow_latent_semantic_syn.py",
      options: """
        --dataset celeba_256 --batch_size 64 --num_epoch 175 --lr 5e-5 --num_in_channels 8
        --ch_mult 1 2 3 4 --attn_resolution 16 8 --num_process_per_node 2
        """),
  ]
}

@Suite(.serialized) struct ImportConfigTests {
  @Test("a training command of LFM is the preset of its experiment", arguments: TrainingCommand.all)
  func trainingCommands(_ row: TrainingCommand) throws {
    let found = try imported(row.words)
    let preset = try RunConfig.load(file: repository("configs/lfm/\(row.preset).yaml"))
    #expect(try found.run.difference(from: preset) == [])
    #expect(found.fields.allSatisfy { !$0.note.isEmpty })
  }

  @Test("every option leaves a line that says what became of it")
  func everyField() throws {
    var row = TrainingCommand.all[10]
    row.options += " --use_wandb --beta1 0.5 --dropout 0.1 --num_timesteps 7 --exp e --datadir d --num_steps 3"
    var words = row.words
    words.insert(contentsOf: ["--mixed_precision", "bf16", "--multi_gpu"], at: 2)
    let found = try imported(words)
    for word in words where word.hasPrefix("--") {
      let name = word.dropFirst(2)
      #expect(found.fields.contains { $0.name.hasPrefix(name) }, "nothing about \(word)")
    }
    #expect(
      found.field("use_wandb")
        == "mapped: log.tensorboard: runs log to TensorBoard, not to Weights & Biases")
    #expect(found.field("model_type") == "mapped: model.size B/2")
    #expect(found.field("nf") == "ignored: a DiT has none")
    #expect(found.field("beta1")?.hasPrefix("ignored: LFM never reads it") == true)
    #expect(found.field("dropout")?.hasPrefix("unsupported: ") == true)
    #expect(found.field("mixed_precision")?.hasPrefix("unsupported: computes in float32") == true)
    #expect(
      found.field("num_epoch")
        == "mapped: training.steps, 1,000 of 1280 in an epoch of 1,281,167 images")
    #expect(found.advice[0].hasPrefix("latentflow encode d --size 256 --flips --autoencoder"))
  }

  @Test(
    "an argument file of LFM",
    arguments: [
      ("DiT-L/2", "celeba_256", "", "celeba256-dit-l2", "475"),
      ("adm", "lsun_bedroom", "CH_MULT=\"1 2 3 4\"\nATTN_RES=\"16 8 4\"", "bedroom256-adm", "425"),
      (
        "adm", "lsun_church", "USE_ORIGIN_ADM=true\nCH_MULT='1 2 3 4'\nATTN_RES=\"16 8\"",
        "church256-adm", "425"
      ),
      (
        "adm", "celeba_512",
        "USE_ORIGIN_ADM=True\nIMG_SIZE=512 # pixels\nCH_MULT=\"1 2 2 2 4\"\nATTN_RES=\"16 8\"",
        "celeba512-adm", "425"
      ),
      ("DiT-B/2", "imagenet_256", "CFG=1.5", "imagenet256-dit-b2", "875"),
      ("adm", "imagenet_256", "CFG=1.25", "imagenet256-adm", "1125"),
    ])
  func argumentFiles(
    _ type: String, _ set: String, _ more: String, _ preset: String, _ epoch: String
  ) throws {
    let folder = try ScratchFolder()
    let file = try folder.write(
      "MODEL_TYPE=\(type)\nEPOCH_ID=\(epoch)\nexport DATASET=\(set)\nEXP=e\nMETHOD=dopri5\n"
        + "STEPS=0\n\(more)", to: "a.txt")
    let found = try imported([file])
    var expected = try RunConfig.load(file: repository("configs/lfm/\(preset).yaml"))
    let run = try found.run
    // LFM's script states a label dropout that its ADM does without.
    if preset == "imagenet256-adm" {
      #expect(run.model.labelDropout == 0.1)
      guard case .edm(var edm) = expected.model else { return }
      edm.labelDropout = 0.1
      expected.model = .edm(edm)
    }
    #expect(run.model == expected.model)
    #expect(run.data.latentShape == expected.data.latentShape)
    #expect(run.path == expected.path && run.firstStage.scale == expected.firstStage.scale)
    #expect(found.weights == "saved_info/latent_flow/\(set)/e/model_\(epoch).pth")
    #expect(found.field("method") == "mapped: sample --solver")
  }

  @Test("LFM's saved config.yaml is the command that made it")
  func savedOptions() throws {
    let folder = try ScratchFolder()
    let file = try folder.write(
      """
      model_type: DiT-B/2
      image_size: 256
      num_in_channels: 4
      num_out_channels: 4
      num_classes: 1000
      label_dropout: 0.1
      dataset: imagenet_256
      batch_size: 160
      no_lr_decay: true
      use_ema: true
      ema_decay: 0.9999
      model_ckpt: null
      ch_mult: [1, 2, 3, 4]
      local_rank: 0
      """, to: "config.yaml")
    let run = try imported([file]).run
    #expect(run.model == (try RunConfig.load(
      file: repository("configs/lfm/imagenet256-dit-b2.yaml")).model))
    #expect(run.ema?.decay == 0.9999 && run.schedule == .constant(warmup: 0))
  }

  @Test("without --out the configuration goes to standard output, with it the report")
  func output() throws {
    let folder = try ScratchFolder()
    let words = TrainingCommand.all[1].words
    let plain = try latentflow(["import-config"] + words)
    #expect(plain.status == 0 && plain.output.hasPrefix("# From training command of LFM.\nseed: "))
    #expect(plain.errors.contains("num_epoch"))
    let out = "\(folder.path)/run.yaml"
    let written = try latentflow(["import-config", "--out", out] + words)
    #expect(written.status == 0 && written.output.contains("→ model.size L/2"))
    #expect(try String(contentsOfFile: out, encoding: .utf8) == plain.output)
    // The command may also be one quoted text, or the only one in a script.
    let line = words.joined(separator: " ")
    #expect(try latentflow("import-config", line).output == plain.output)
    let folded = line.replacing(" --nf", with: " \\\n  --nf")
    let script = try folder.write("# \(line)\n\nexport X=1\n\(folded)\n", to: "run.sh")
    #expect(try latentflow("import-config", script).output == plain.output)
  }
}

/// Sources that must be refused, and what is said.
@Suite(.serialized) struct ImportConfigErrors {
  @Test(
    "is refused",
    arguments: [
      ("--model_typ DiT-L/2 --nun_classes 1", "--nun_classes: no such option.\n  did you mean"),
      ("--model_type DiT-L/3 --num_classes 1", "model_type: found DiT-L/3; expected adm"),
      ("--model_type amd", "model_type: found amd; expected one of adm"),
      ("--image_size 100", "image_size: found 100; expected a multiple of f, 8"),
      ("--batch_size many", "batch_size: found many; expected an integer"),
      ("--batch_size", "--batch_size: no value; expected a value"),
      ("--lr 0", "lr: found 0; expected a number above 0"),
      ("--use_ema yes", "yes: no option's name"),
      ("--num_in_channels 3 --num_out_channels 4", "expected at least num_out_channels, 4"),
      ("\"--exp $HOME\"", "$, which a shell would replace"),
      ("--exp 'a", "a quote that does not end"),
    ])
  func commands(_ options: String, _ message: String) throws {
    let answer = try latentflow("import-config", "python train_flow_latent.py \(options)")
    #expect([64, 78].contains(answer.status) && answer.output == "")
    #expect(answer.errors.contains(message), "\(answer.errors)")
  }

  @Test(
    "files are refused",
    arguments: [
      ("MODEL_TYPE=DiT-L/2\nmodel", "a.txt:2: model; expected NAME=VALUE"),
      ("MODEL_TYPE=$TYPE\n", "a.txt:1: $, which a shell would replace"),
      ("MODEL_TYPE=DiT-L/2\nMETHOD=dopry5\n", "method: found dopry5; expected one of"),
      ("hello\n", "0 commands of LFM"),
    ])
  func files(_ text: String, _ message: String) throws {
    let folder = try ScratchFolder()
    let answer = try latentflow("import-config", try folder.write(text, to: "a.txt"))
    #expect([64, 78].contains(answer.status), "\(answer)")
    #expect(answer.errors.contains(message), "\(answer)")
  }
}
