import Testing
import Worker

/// Cases of networks, of sampling and of training, and how many quantities each compares.
@Suite("replay of networks", .serialized)
struct ReplayNetworksTests {
  @Test(
    "cases",
    arguments: [
      ("A_dit_learn_sigma_cfg", 5), ("A_dit_named_recipe", 4), ("A_dit_p2_labels_cfg", 7),
      ("A_dit_p2_uncond", 5), ("A_dit_p4_labels", 5),
      ("D_eunet_linear_ssn", 5), ("D_eunet_nocontext_pool4", 4), ("D_eunet_pool_recipe", 5),
      ("D_eunet_softmax_additive_recipe", 5), ("D_eunet_wide_recipe", 5),
      ("M_lfm_sample_dit_recipe", 28),
      ("N_train_fmb_recipe", 13), ("N_train_lfm_dit_recipe", 14),
    ])
  func cases(_ name: String, _ count: Int) throws {
    try expect(replay(try fixture(name)), count: count)
  }
}
