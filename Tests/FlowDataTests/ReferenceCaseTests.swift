import Diagnostics
import FlowData
import FlowTensor
import Foundation
import Testing

@Suite(.serialized)
struct ReferenceCaseTests {
  @Test(
    "the hashed recipe gives its published values",
    arguments: [
      ("", 0xcbf2_9ce4_8422_2325, [4424060, -7336742, -2833499, -5479022]),
      ("a", 0xaf63_dc4c_8601_ec8c, [-2151998, 8357105, 8256177, 3119570]),
      ("Conv2d_1a_3x3.conv.weight", 0xb233_eed7_10c5_459d,
        [-2704552, 2160704, -5420933, 6207052]),
      ("heldout/Conv2d_1a_3x3.conv.weight", 0x55b3_dbe5_dfab_6007,
        [-5411150, -1023856, -5445233, 3260699]),
      ("blocks.0.attn.qkv.weight", 0xb8ee_d840_ed19_9670,
        [3920131, -1662537, 5459672, -5820359]),
    ] as [(String, UInt64, [Int])])
  func recipe(_ key: String, _ hash: UInt64, _ integers: [Int]) {
    #expect(HashedWeights.hash(key) == hash)
    #expect((0..<4).map { HashedWeights.integer(hash, $0) } == integers)
  }

  @Test("the hashed recipe gives its published tensor")
  func tensor() {
    let x = HashedWeights.tensor(
      "Conv2d_1a_3x3.conv.weight", [32, 3, 3, 3], .scale(0.4714045226573944)).values
    #expect(Array(x[..<3]) == [-0.15198445320129395, 0.12142248451709747, -0.30463364720344543])
    let sum = x.reduce(0.0) { $0 + Double($1) }
    let squares = x.reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(abs(sum - 4.8782010540599) < 1e-12)
    #expect(abs(squares - 63.3235901924655) < 1e-11)
    let first: Float = -0.25653815269470215  // u of key a
    #expect(HashedWeights.tensor("a", [1], .norm).values == [1 + 0.25 * first])
    #expect(HashedWeights.tensor("a", [1], .bias).values == [0.125 * first])
    #expect(HashedWeights.tensor("a", [1], .positive).values == [1 + 0.5 * first])
  }

  private static let picturesCases = [
    "G_image_metrics", "K_lfm_inpaint_images", "O_image_transforms",
  ]

  @Test("every case opens, and its weights fit its config")
  func all() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: FormatFixtures.folder)
      .filter { $0.hasSuffix(".safetensors") }.sorted()
    #expect(files.count == 58)
    for file in files {
      let item = try ReferenceCase(file: FormatFixtures.folder + "/" + file)
      #expect(item.name + ".safetensors" == file)
      #expect(item.config.object != nil)
      #expect(item.header["checks"]?.isEmpty == false)
      for part in item.parts.isEmpty ? [nil] : item.parts.map(Optional.some) {
        let weights = try item.weights(of: part)
        #expect(weights.isEmpty == (item.names(.weights).isEmpty && !item.name.contains("recipe")))
        #expect(weights.values.allSatisfy { $0.values.allSatisfy(\.isFinite) })
      }
      // Cases about pictures state no tolerance: their replays know it.
      let isAboutPictures = Self.picturesCases.contains(item.name)
      for output in item.names(.outputs)
      where item.tolerance(.outputs, output) == .unstated && !isAboutPictures {
        let type = try item.file.dtype("outputs.\(output)")
        #expect([.i64, .u8, .f64].contains(type), "\(file) \(output)")
      }
    }
  }

  @Test("stored weights, tolerances, and gradients")
  func stored() throws {
    let item = try ReferenceCase(file: FormatFixtures.referenceCase("A_dit_p2_labels_cfg"))
    #expect(item.config["class"]?.string == "LFM.DiT")
    #expect(item.config["hidden_size"]?.int == 32)
    #expect(item.tolerance(.outputs, "out") == .relativeL2(5e-6))
    #expect(item.tolerance(.outputs64, "out") == .relativeL2(5e-6))
    #expect(item.tolerance(.grads, "x_embedder.proj.weight") == .relativeL2(1e-5))
    #expect(item.tolerance(.inputs, "x") == .unstated)
    let weights = try item.weights()
    #expect(weights.count == 22)
    #expect(weights["y_embedder.embedding_table.weight"]?.shape[1] == 32)
    #expect(item.names(.grads).count == 21)
    #expect(try item.shape(.inputs, "x") == [4, 3, 12, 12])
    #expect(try item.ints(.inputs, "y").count == 4)
    #expect(try item.input("t").count == 4)
    let error = try relativeL2(found: item.tensor(.outputs, "out"), expected: item.expected("out"))
    #expect(error > 0 && error < 5e-6)
    let ode = try ReferenceCase(file: FormatFixtures.referenceCase("H_adaptive_linear"))
    #expect(ode.tolerance(.outputs, "dopri5_1e-5.eval_t") == .notComparable)
    #expect(ode.tolerance(.outputs, "dopri5_1e-5.nfe") == .unstated)
  }

  @Test("generated weights, several networks, what a class constructs is left out")
  func generated() throws {
    let named = try ReferenceCase(file: FormatFixtures.referenceCase("A_dit_named_recipe"))
    let weights = try named.weights()
    #expect(weights["pos_embed"] == nil)
    #expect(weights["x_embedder.proj.weight"]?.shape == [384, 4, 2, 2])
    #expect(named.gradientStrides["blocks.0.attn.qkv.weight"] == 6917)
    #expect(abs((named.gradientsTotalNorm ?? 0) - 9.95469042537907) < 1e-14)
    let sampling = try ReferenceCase(file: FormatFixtures.referenceCase("M_lfm_sample_dit_recipe"))
    #expect(sampling.parts == ["net", "vae"])
    #expect(try sampling.weights(of: "vae")["encoder.conv_in.weight"]?.shape.rank == 4)
    let none = #expect(throws: UserError.self) { try sampling.weights() }
    #expect(none?.expected == "one of net, vae")
    // 20 steps of AdamW at 1e-3 move no element by more than 0.03: the key has no part in front.
    let training = try ReferenceCase(file: FormatFixtures.referenceCase("N_train_lfm_dit_recipe"))
    let key = "x_embedder.proj.weight"
    let before = try #require(try training.weights(of: "net")[key]).values
    let after = try training.expected("param.\(key)")
    #expect(zip(before, after).allSatisfy { abs(Double($0) - $1) < 0.03 })
  }

  @Test("errors relative to the expected norm")
  func errors() {
    #expect(relativeL2(found: [3, 4] as [Float], expected: [3, 5]) == 1 / 34.0.squareRoot())
    #expect(relativeL2(found: [0] as [Float], expected: [0]) == 0)
    #expect(relativeL2(found: [1] as [Float], expected: [0]) == .infinity)
    #expect(relativeL2(found: [.nan] as [Float], expected: [1]).isNaN)
    let vanishing = gradientError(found: [1e-6], expected: [0], totalNorm: 10)
    #expect(vanishing == Double(Float(1e-6)) / 1e-2)
  }

  @Test("a file that is no case")
  func noCase() {
    let path = FormatFixtures.file("safetensors_good_minimal.safetensors")
    let error = #expect(throws: UserError.self) { try ReferenceCase(file: path) }
    #expect(error?.expected == "a reference case")
  }

  @Test("channels first and channels last")
  func layouts() {
    let x = Tensor([2, 3, 1, 2], (0..<12).map(Float.init))
    let y = nhwc(x)
    #expect(y.shape == [2, 1, 2, 3])
    #expect(y.values == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11])
    #expect(nchw(y).values == x.values)
    #expect(nchw(y).shape == x.shape)
  }
}
