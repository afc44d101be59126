import Testing
import Worker

/// Cases of networks, of sampling and of training, and how many quantities each compares.
@Suite("replay of networks", .serialized)
struct ReplayNetworksTests {
  @Test(
    "cases",
    arguments: [
      ("A_dit_learn_sigma_cfg", 5), ("A_dit_named_recipe", 4), ("A_dit_p2_labels_cfg", 7),
      ("A_dit_p2_uncond", 5), ("A_dit_p4_labels", 5), ("M_lfm_sample_dit_recipe", 28),
      ("N_train_lfm_dit_recipe", 14),
      ("B_adm_context_recipe", 4), ("B_adm_labels_cfg_recipe", 6), ("B_adm_multihead_recipe", 5),
      ("B_adm_nolabel", 4), ("B_adm_small_attn", 5), ("B_ddpmpp", 4), ("B_ncsnpp", 4),
      ("M_lfm_sample_adm_recipe", 16), ("N_train_lfm_adm_recipe", 12),
    ])
  func cases(_ name: String, _ count: Int) throws {
    try expect(replay(try fixture(name)), count: count)
  }
}
