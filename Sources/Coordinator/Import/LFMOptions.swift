/// The options of LFM's scripts (Dao et al. 2023), by name, kind and default.
struct LFMOption {
  enum Kind {
    /// Present or not.
    case flag
    case value
    /// One value or more.
    case values
    /// `type=bool` of argparse: whatever is written is true, were it `False`.
    case anyTextIsTrue
  }

  let name: String
  let kind: Kind
  /// nil where there is none.
  let standard: String?

  private init(_ name: String, _ kind: Kind, _ standard: String?) {
    (self.name, self.kind, self.standard) = (name, kind, standard)
  }

  private static func flags(_ names: String...) -> [LFMOption] {
    names.map { LFMOption($0, .flag, "false") }
  }

  private static func values(_ standards: (String, String?)...) -> [LFMOption] {
    standards.map { LFMOption($0.0, .value, $0.1) }
  }

  /// Of training and of sampling; where their defaults differ, those of training.
  static let all: [LFMOption] =
    flags(
      "resume", "layout", "use_origin_adm", "use_grad_checkpointing", "no_lr_decay", "use_ema",
      "save_content", "compute_fid", "compute_nfe", "measure_time", "use_karras_samplers",
      "perturb", "centered", "use_wandb")
    + values(
      ("seed", "1024"), ("model_ckpt", nil), ("model_type", "adm"), ("image_size", "32"),
      ("f", "8"), ("scale_factor", "0.18215"), ("num_in_channels", "3"),
      ("num_out_channels", "3"), ("nf", "256"), ("num_res_blocks", "2"), ("num_blocks", nil),
      ("dropout", "0.0"), ("label_dim", "0"), ("augment_dim", "0"), ("num_classes", nil),
      ("label_dropout", "0.0"), ("num_heads", "4"), ("num_head_upsample", "-1"),
      ("num_head_channels", "-1"), ("pretrained_autoencoder_ckpt", "stabilityai/sd-vae-ft-mse"))
    + values(
      ("exp", "experiment_cifar_default"), ("dataset", "cifar10"), ("datadir", "./data"),
      ("num_timesteps", "200"), ("batch_size", "128"), ("num_epoch", "1200"), ("lr", "5e-4"),
      ("beta1", "0.5"), ("beta2", "0.9"), ("ema_decay", "0.9999"), ("save_content_every", "10"),
      ("save_ckpt_every", "25"), ("plot_every", "5"), ("num_proc_node", "1"),
      ("num_process_per_node", "1"), ("node_rank", "0"), ("local_rank", "0"),
      ("master_address", "127.0.0.1"), ("master_port", "6000"))
    + values(
      ("generator", "determ"), ("epoch_id", "1000"), ("n_sample", "50000"), ("cfg_scale", "1.0"),
      ("output_log", ""), ("real_img_dir", "./pytorch_fid/cifar10_train_stat.npy"),
      ("num_steps", "40"), ("atol", "1e-5"), ("rtol", "1e-5"), ("method", "dopri5"),
      ("step_size", "0.01"))
    + [
      LFMOption("attn_resolutions", .values, "16"),
      LFMOption("ch_mult", .values, "1 1 2 2 4 4"),
      LFMOption("use_scale_shift_norm", .anyTextIsTrue, "true"),
      LFMOption("resblock_updown", .anyTextIsTrue, "false"),
      LFMOption("use_new_attention_order", .anyTextIsTrue, "false"),
      LFMOption("resamp_with_conv", .anyTextIsTrue, "true"),
    ]

  /// Where the sampling scripts differ.
  static let samplingStandards = ["ch_mult": "1 2 2 2", "batch_size": "200", "seed": "42"]

  /// The option that `name` means: exactly, or as the beginning of one name alone, as argparse has
  /// it (`--attn_resolution`).
  static func meant(by name: String) -> LFMOption? {
    if let exact = all.first(where: { $0.name == name }) { return exact }
    let longer = all.filter { $0.name.hasPrefix(name) }
    return longer.count == 1 ? longer[0] : nil
  }

  /// Options that change nothing, and why.
  static let ignored: [(name: String, reason: String)] = [
    ("augment_dim", "LFM never passes it to a network"),
    ("centered", "LFM never reads it; images are −1 to 1"),
    ("num_timesteps", "LFM never reads it"),
    ("beta1", "LFM never reads it: its AdamW has 0.9 and 0.999"),
    ("beta2", "LFM never reads it: its AdamW has 0.9 and 0.999"),
    ("use_grad_checkpointing", "micro-batches bound the activations, and results are the same"),
    ("model_ckpt", "give the file to train --weights-only"),
    ("node_rank", "mpirun places the ranks"), ("local_rank", "mpirun places the ranks"),
    ("master_address", "MPI finds its own way"), ("master_port", "MPI finds its own way"),
    ("generator", "every sample has noise of its own, by its index"),
    ("n_sample", "give sample --count"), ("output_log", "give sample --out"),
    ("real_img_dir", "give evaluate --reference"), ("compute_fid", "that is evaluate"),
    ("compute_nfe", "samples.json has the number of evaluations"),
    ("measure_time", "samples.json has the time"),
  ]
}
