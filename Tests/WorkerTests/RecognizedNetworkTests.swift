import FlowData
import Testing
import Worker

/// Networks are found again in the keys and shapes of the reference's weights, with every parameter
/// under its name and in its shape.
@Suite("recognition of networks")
struct RecognizedNetworkTests {
  @Test(
    "from the weights of a case",
    arguments: [
      ("A_dit_p2_labels_cfg", "dit"), ("A_dit_p2_uncond", "dit"), ("A_dit_p4_labels", "dit"),
      ("A_dit_named_recipe", "dit"), ("C_adm_additive_avgpool_recipe", "original_adm"),
      ("C_adm_ssn_legacyattn", "original_adm"), ("C_adm_layout_attn", "layout"),
      ("C_adm_ssn_updown_inpaint_in_recipe", "original_adm"),
      ("C_adm_updown_newattn_cls_recipe", "original_adm"), ("C_adm_wide_recipe", "original_adm"),
      ("D_eunet_nocontext_pool4", "efficient_unet"), ("D_eunet_pool_recipe", "efficient_unet"),
      // Its attention is as wide as its blocks: the keys and shapes are those of an ADM.
      ("D_eunet_wide_recipe", "original_adm"), ("B_adm_context_recipe", "adm_context"),
      ("B_adm_labels_cfg_recipe", "adm"), ("B_adm_nolabel", "adm"), ("B_ddpmpp", "ddpm++"),
      ("B_ncsnpp", "ncsn++"),
    ])
  func recognizes(_ name: String, _ kind: String) throws {
    let shapes = try fixture(name).weights().mapValues(\.shape.dims)
    let found = try #require(RecognizedNetwork(shapes, resolution: 8))
    #expect(found.specification.kind == kind)
    // Constants may be missing in a case: they are as the network makes them.
    let parameters = Network(found.specification).store.parameters.filter {
      $0.isTrainable || shapes[$0.name] != nil
    }
    #expect(Set(parameters.map(\.name)) == Set(shapes.keys))
    for parameter in parameters {
      // A 1×1 convolution and a linear map hold the same elements.
      let shape = shapes[parameter.name] ?? []
      #expect(
        parameter.shape.dims.filter { $0 != 1 } == shape.filter { $0 != 1 },
        "\(parameter.name): \(parameter.shape), \(shape)")
    }
  }

  @Test("of anything else there is none")
  func refuses() throws {
    #expect(RecognizedNetwork([:]) == nil)
    #expect(RecognizedNetwork(["x_embedder.proj.weight": [0, 0, 0, 0]]) == nil)
    let dit = try fixture("A_dit_p2_uncond").weights().mapValues(\.shape.dims)
    for key in ["x_embedder.proj.weight", "final_layer.linear.weight", "blocks.0.mlp.fc1.weight"] {
      #expect(RecognizedNetwork(dit.filter { $0.key != key }) == nil)
    }
    let autoencoder = try fixture("E_vae_diffusers").weights().mapValues(\.shape.dims)
    #expect(RecognizedNetwork(autoencoder) == nil)
  }
}
