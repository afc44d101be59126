import FlowData
import FlowTensor
import Foundation
import Testing

extension EndToEnd {
  /// Pictures made larger, on one rank and on two.
  @Suite(.serialized) struct Upscaling {
    /// The same bits of a command on one rank and on two, and those of another seed.
    private func requireOneResult(
      _ words: [String], seedMatters: Bool = true, _ location: SourceLocation = #_sourceLocation
    ) throws -> [String: Data] {
      let models = try UpscalingModels.shared
      let one = try models.upscaled(words)
      #expect(!one.isEmpty, sourceLocation: location)
      #expect(
        try models.upscaled(words, ranks: 2) == one, "\(words)", sourceLocation: location)
      let other = try models.upscaled(words + ["--seed", "9"])
      #expect((other == one) == !seedMatters, "\(words)", sourceLocation: location)
      return one
    }

    @Test("a model that does nothing gives the nearest pixels of any picture, cut as it was")
    func idle() throws {
      let models = try UpscalingModels.shared
      let scratch = try Scratch()
      var pictures: [String: ImageBuffer] = [:]
      for (name, width, height) in [("a", 21, 13), ("b", 16, 16), ("c", 1, 1), ("d/e", 13, 40)] {
        let picture = ShapesDataset(size: 64, seed: 5, count: 9).image(pictures.count)
          .cropped(x: 20, y: 12, width: width, height: height)
        let file = "\(scratch.path)/in/\(name).png"
        try FileManager.default.createDirectory(
          atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try picture.writePNG(to: file)
        pictures[name] = picture
      }
      let out = "\(scratch.path)/out"
      let words = ["a.png", "b.png", "c.png", "d"].map { "\(scratch.path)/in/\($0)" }
      // A folder of pictures gives them by name alone.
      let run = try latentflow(
        ["upscale", models.idle] + words + ["--out", out, "--grid", "\(scratch.path)/g.png"])
      try run.requireSuccess()
      for (name, picture) in pictures {
        let file = "\(out)/\((name as NSString).lastPathComponent).png"
        let expected = picture.resized(
          width: 2 * picture.width, height: 2 * picture.height, .box)
        #expect(try ImageBuffer(contentsOf: file) == expected, "\(name)")
      }
      let grid = try ImageBuffer(contentsOf: "\(scratch.path)/g.png")
      #expect(grid.size == ImageSize(width: 3 * 44 + 2, height: 4 * 82 + 2))
      let record = try #require(
        try JSONSerialization.jsonObject(
          with: Data(contentsOf: URL(fileURLWithPath: "\(out)/upscale.json"))) as? [String: Any])
      let stages = try #require(record["stages"] as? [[String: Any]])
      #expect(stages.count == 1 && stages[0]["enlargement"] as? String == "2")
      #expect((stages[0]["solver"] as? String)?.contains("euler, 10 steps") == true)
      #expect((record["pictures"] as? [[String: Any]])?.count == 4)
    }

    @Test(
      "every way of bringing a latent to size trains and enlarges to one result on 1 and 2 ranks",
      arguments: [
        ["upsampling=psu", "context=psu"], ["upsampling=nearest", "context=nearest"],
        ["upsampling=bilinear", "context=bicubic"], ["upsampling=bicubic", "context=area"],
        ["upsampling=area", "context=noise_upsampling"], ["upsampling=noise_upsampling"],
        ["start=noise", "context=bilinear"], ["start=latent", "upsampling=noise_upsampling"],
        ["schedule=linear", "noising_step=200"],
      ])
    func modes(_ fields: [String]) throws {
      let models = try UpscalingModels.shared
      let scratch = try Scratch()
      try trained(fields.map { "coupling.\($0)" }, scratch)
      let results = try requireOneResult(["\(scratch.path)/run-2", models.pictures])
      #expect(results.count == 3)
      // The network has a say in it.
      #expect(
        try models.upscaled(["\(scratch.path)/run-2", models.pictures, "--steps", "1"]) != results)
    }

    /// Trains into `run-1` and `run-2` on so many ranks: the same parameters.
    private func trained(_ words: [String], steps: Int = 3, _ scratch: Scratch) throws {
      let models = try UpscalingModels.shared
      var bits: [TrainedBits] = []
      for ranks in [1, 2] {
        let run = "\(scratch.path)/run-\(ranks)"
        try latentflow(
          models.training(run, words + ["training.steps=\(steps)"]), ranks: ranks
        ).requireSuccess()
        bits.append(try TrainedBits(run: run, step: steps))
      }
      #expect(bits[1] == bits[0], "\(words): \(bits[1].difference(from: bits[0]))")
    }

    @Test("minibatch optimal transport: other parameters, the same on 1 and 2 ranks")
    func transport() throws {
      let scratch = try Scratch()
      let models = try UpscalingModels.shared
      let noise = ["coupling.start=noise"]
      try trained(noise + ["coupling.transport_group=2"], scratch)
      let plain = "\(scratch.path)/plain"
      try latentflow(models.training(plain, noise)).requireSuccess()
      #expect(
        try TrainedBits(run: plain, step: 3).model
          != TrainedBits(run: "\(scratch.path)/run-1", step: 3).model)
      _ = try requireOneResult(["\(scratch.path)/run-1", models.pictures])
    }

    @Test("a latent that blocks attend to, at its own size")
    func crossAttention() throws {
      let scratch = try Scratch()
      let models = try UpscalingModels.shared
      try trained(
        [
          "coupling.start=noise", "coupling.upsampling=identity", "coupling.context=null",
          "coupling.cross_context=identity", "model.context_channels=0",
          "model.cross_context_channels=3", "optimizer.lr=3e-2", "training.clip=null",
        ], steps: 8, scratch)
      let run = "\(scratch.path)/run-2"
      let one = try requireOneResult([run, "\(models.pictures)/0.png"])
      // It sees the picture: another one in its place, with the same noise, gives another result.
      let other = try models.upscaled([run, "\(models.pictures)/1.png"])
      #expect(one["0.png"] != other["1.png"])
    }

    @Test("an autoencoder's latents, in pixels between stages, with an adaptive solver")
    func autoencoder() throws {
      let scratch = try Scratch()
      let models = try UpscalingModels.shared
      let cache = "\(scratch.path)/latents"
      try latentflow([
        "encode", "shapes:16@64#4", "--autoencoder", Workshop.autoencoder, "--low-res", "32",
        "--out", cache,
      ]).requireSuccess()
      try trained(
        [
          "data.cache=\(cache)", "first_stage.kind=autoencoder",
          "first_stage.path=\(Workshop.autoencoder)", "model.context_channels=4",
          "coupling.upsampling=psu", "coupling.context=psu",
        ], scratch)
      let file = "\(scratch.path)/cascade.yaml"
      try "stages: [{ model: run-1 }, { model: run-2, from: 64, noising_step: 0 }]"
        .write(toFile: file, atomically: true, encoding: .utf8)
      let solver = ["--solver", "bosh3", "--rtol", "1e-2", "--atol", "1e-2"]
      let results = try requireOneResult([file, "shapes:3@32#6"] + solver)
      let first = try #require(results["000000.png"])
      #expect(try size(first) == ImageSize(width: 128, height: 128))
      // In strips of rows: other rounding, on all ranks the same.
      let limited = try requireOneResult([file, "shapes:3@32#6", "--memory", "2G"] + solver)
      #expect(limited.keys == results.keys)
      for (name, png) in limited {
        let (a, b) = (try pixels(png), try pixels(try #require(results[name])))
        let difference = zip(a, b).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
        #expect(Double(difference) / Double(a.count) < 0.5, "\(name): \(difference) levels")
      }
    }

    private func pixels(_ png: Data) throws -> [UInt8] {
      try ImageBuffer(encoded: Array(png), name: "result").pixels
    }

    private func size(_ png: Data) throws -> ImageSize {
      try ImageBuffer(encoded: Array(png), name: "result").size
    }

    // MARK: - Cascades

    /// 128 → 512 → 1024 → 2048
    private func cascade(_ scratch: Scratch) throws -> String {
      let models = try UpscalingModels.shared
      // One model twice, at sizes that it has never seen.
      let wide = "\(scratch.path)/wide"
      try latentflow(
        models.training(
          wide,
          ["model.pool_factor=8", "model.multipliers=[1,1,1]", "model.attention_factors=[4]"])
      ).requireSuccess()
      let file = "\(scratch.path)/cascade.yaml"
      try """
        stages:
          - { model: \(models.fourfold), from: 128, to: 512, steps: 2 }
          - { model: wide, from: 512, to: 1024, steps: 1, noising_step: 100 }
          - { model: wide, solver: euler, steps: 1 }
        """.write(toFile: file, atomically: true, encoding: .utf8)
      return file
    }

    @Test("a cascade from 128 to 2048")
    func cascades() throws {
      let scratch = try Scratch()
      let models = try UpscalingModels.shared
      let file = try cascade(scratch)
      let results = try requireOneResult([file, "shapes:2@128#5"])
      #expect(results.count == 2)
      for result in results.values { #expect(try size(result) == .init(width: 2048, height: 2048)) }
      // Stages that it stops before, or begins behind; a size between.
      let picture = "\(scratch.path)/picture.png"
      try ShapesDataset(size: 128, seed: 5, count: 1).image(0).writePNG(to: picture)
      for (words, side) in [
        (["--to", "512"], 512), (["--to", "1024"], 1024), (["--to", "700"], 700),
        (["--from", "1024"], 256),
      ] {
        let result = try #require(try models.upscaled([file, picture] + words)["picture.png"])
        #expect(try size(result) == .init(width: side, height: side), "\(words)")
      }
    }

    @Test("stages of nothing one after another are one of nothing")
    func idleCascade() throws {
      let scratch = try Scratch()
      let models = try UpscalingModels.shared
      let file = "\(scratch.path)/cascade.yaml"
      try "stages: [{ model: \(models.idle) }, { model: \(models.idle), from: 32 }]"
        .write(toFile: file, atomically: true, encoding: .utf8)
      let results = try models.upscaled([file, models.pictures])
      for i in 0..<3 {
        let picture = try ImageBuffer(contentsOf: "\(models.pictures)/\(i).png")
        let result = try #require(results["\(i).png"])
        #expect(
          try ImageBuffer(encoded: Array(result), name: "result")
            == picture.resized(width: 64, height: 64, .box))
      }
      // Each stage has a network of its own: one that does something shows behind one that idles.
      try latentflow(
        models.training(
          "\(scratch.path)/moving", ["coupling.upsampling=nearest", "coupling.start=latent"])
      ).requireSuccess()
      try "stages: [{ model: \(models.idle) }, { model: moving, from: 32 }]"
        .write(toFile: file, atomically: true, encoding: .utf8)
      let changed = try models.upscaled([file, models.pictures])
      #expect(changed.keys == results.keys)
      for (name, png) in changed { #expect(png != results[name], "\(name)") }
    }

    // MARK: - Latents

    @Test("latents are scaled on their way into a network, and back behind it")
    func scaled() throws {
      let models = try UpscalingModels.shared
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(
        models.training(
          run,
          [
            "optimizer.lr=1e-30", "coupling.upsampling=nearest", "coupling.start=latent",
            "first_stage.scale=0.5",
          ])
      ).requireSuccess()
      let results = try models.upscaled([run, models.pictures])
      for i in 0..<3 {
        let picture = try ImageBuffer(contentsOf: "\(models.pictures)/\(i).png")
        let result = try #require(results["\(i).png"])
        #expect(
          try ImageBuffer(encoded: Array(result), name: "result")
            == picture.resized(width: 32, height: 32, .box))
      }
    }

    @Test("latents of other models, scaled or not, in files of all kinds, are what pictures are")
    func latents() throws {
      let models = try UpscalingModels.shared
      let scratch = try Scratch()
      let scaled = "\(scratch.path)/scaled"
      try latentflow(models.training(scaled, ["first_stage.scale=0.5"])).requireSuccess()
      let pictures = try (0..<3).map {
        try ImageBuffer(contentsOf: "\(models.pictures)/\($0).png")
      }
      func planes(_ scale: Float) -> [Float] {
        var values: [Float] = []
        for picture in pictures {
          for c in 0..<3 {
            for i in stride(from: c, to: picture.pixels.count, by: 3) {
              values.append(scale * (Float(picture.pixels[i]) / 127.5 - 1))
            }
          }
        }
        return values
      }
      let plain = "\(scratch.path)/latents.safetensors"
      let other = "\(scratch.path)/other.npz"
      try planes(1).withUnsafeBufferPointer {
        _ = try SafetensorsWriter.write(
          [SafetensorsTensor("latents", [3, 3, 16, 16], $0.baseAddress!)], to: plain)
      }
      try NumPyWriter.write(
        [.init("samples", [3, 3, 16, 16], floats: planes(0.5))], toArchive: other)
      let expected = try models.upscaled([scaled, models.pictures])
      let unscaled = try requireOneResult([scaled, "--latents", plain])
      #expect(unscaled.keys.sorted() == ["000000.png", "000001.png", "000002.png"])
      for i in 0..<3 { #expect(unscaled["00000\(i).png"] == expected["\(i).png"], "latent \(i)") }
      #expect(
        try models.upscaled(
          [scaled, "--latents", other, "--latents-key", "samples", "--latents-scaled"]) == unscaled)
      #expect(try models.upscaled([scaled, "--latents", plain, "--latents-scaled"]) != unscaled)
    }

    @Test("grey, palette, RGBA, 16 bits, CMYK and one pixel become RGB and twice as large")
    func kinds() throws {
      let models = try UpscalingModels.shared
      let files = "\(Workshop.repository)/Tests/Fixtures/files"
      let names = [
        "image_gray8.png", "image_gray16.png", "image_gray_alpha8.png", "image_palette4.png",
        "image_rgba8.png", "image_cmyk.jpg", "image_exif_rotated.jpg", "image_rgb8_1x1.png",
      ]
      let words = [models.idle] + names.map { "\(files)/\($0)" }
      for exif in [ExifPolicy.ignore, .apply] {
        let results = try models.upscaled(words + ["--exif", exif.rawValue, "--steps", "1"])
        #expect(results.count == names.count)
        for name in names {
          let picture = try ImageBuffer(contentsOf: "\(files)/\(name)", exif: exif)
          let result = try #require(results[(name as NSString).deletingPathExtension + ".png"])
          #expect(
            try ImageBuffer(encoded: Array(result), name: name)
              == picture.resized(width: 2 * picture.width, height: 2 * picture.height, .box),
            "\(name)")
        }
      }
    }
  }
}
