import Testing
import Worker

/// Cases of networks, of sampling and of training, and how many quantities each compares.
@Suite("replay of networks", .serialized)
struct ReplayNetworksTests {
  @Test(
    "cases",
    arguments: [
      ("A_dit_learn_sigma_cfg", 5), ("A_dit_named_recipe", 4), ("A_dit_p2_labels_cfg", 7),
      ("A_dit_p2_uncond", 5), ("A_dit_p4_labels", 5), ("C_adm_additive_avgpool_recipe", 4),
      ("C_adm_layout_attn", 5), ("C_adm_ssn_legacyattn", 4),
      ("C_adm_ssn_updown_inpaint_in_recipe", 4), ("C_adm_updown_newattn_cls_recipe", 4),
      ("C_adm_wide_recipe", 4),
      ("D_eunet_linear_ssn", 5), ("D_eunet_nocontext_pool4", 4), ("D_eunet_pool_recipe", 5),
      ("D_eunet_softmax_additive_recipe", 5), ("D_eunet_wide_recipe", 5),
      ("K_lfm_inpaint_images", 4),
      ("K_lfm_semantic_rescaler", 3), ("M_lfm_sample_dit_recipe", 28),
      ("N_train_fmb_recipe", 13), ("N_train_lfm_dit_recipe", 14),
      ("B_adm_context_recipe", 4), ("B_adm_labels_cfg_recipe", 6), ("B_adm_multihead_recipe", 5),
      ("B_adm_nolabel", 4), ("B_adm_small_attn", 5), ("B_ddpmpp", 4), ("B_ncsnpp", 4),
      ("M_lfm_sample_adm_recipe", 16), ("N_train_lfm_adm_recipe", 12),
    ])
  func cases(_ name: String, _ count: Int) throws {
    try expect(replay(try fixture(name)), count: count)
  }
}
