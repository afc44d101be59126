import FlowData
import Foundation
import TestSupport
import Testing

extension EndToEnd {
  /// Training on pictures with holes, completing them, and judging what came of it.
  @Suite(.serialized) struct Inpainting {
    private static let pictures = "shapes:48@64#1"
    private static let kinds = MaskGenerator.Kind.allCases.filter { $0 != .mixed }
    /// Every kind is drawn some ten times in 20 steps of 8.
    private static let everyKind =
      "mixed:" + kinds.map { "\($0.rawValue)=1" }.joined(separator: ",") + ",invert=0.1"

    private static let overrides = [
      "first_stage.kind=autoencoder", "first_stage.path=\(Workshop.autoencoder)",
      "model.context_channels=5", "model.patch=2", "model.classes=0", "model.label_dropout=0",
      "inpainting.masks=\(everyKind)", "data.flip=0.5",
    ]

    /// A cache of the pictures, and a run of one rank on it.
    private static let made = Result {
      let scratch = try Scratch()
      let cache = "\(scratch.path)/cache"
      try latentflow([
        "encode", pictures, "--size", "32", "--flips", "--autoencoder", Workshop.autoencoder,
        "--out", cache,
      ]).requireSuccess()
      try latentflow(try train("\(scratch.path)/run", "data.cache=\(cache)")).requireSuccess()
      return scratch
    }

    private static var folder: String { get throws { try made.get().path } }
    private static var run: String { get throws { try "\(folder)/run" } }

    private static func train(_ run: String, _ more: String...) throws -> [String] {
      try Workshop.shared.train(run) + overrides + more
    }

    // MARK: - Training

    @Test(
      "holes of every kind: the same parameters on any ranks, however the pictures come",
      arguments: [
        (2, "local", true), (2, "scatter", true), (4, "scatter", false), (1, "local", false),
      ])
    func training(_ ranks: Int, _ placement: String, _ isCached: Bool) throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      let data =
        isCached
        ? ["data.cache=\(try Self.folder)/cache"]
        : ["data.cache=null", "data.images=\(Self.pictures)", "data.size=32"]
      try latentflow(
        try Self.train(run, "data.placement=\(placement)") + data, ranks: ranks
      ).requireSuccess()
      let expected = try TrainedBits(run: try Self.run, step: 20)
      let found = try TrainedBits(run: run, step: 20)
      #expect(found == expected, "\(found.difference(from: expected))")
    }

    @Test("other holes are another run, and debug step finds a step of it again")
    func holes() throws {
      let scratch = try Scratch()
      let run = "\(scratch.path)/run"
      try latentflow(
        try Self.train(
          run, "data.cache=\(try Self.folder)/cache", "inpainting.masks=center")
      ).requireSuccess()
      let other = try TrainedBits(run: run, step: 20)
      #expect(try other.model != TrainedBits(run: try Self.run, step: 20).model)
      let replayed = try latentflow(["debug", "step", "--run", run, "--step", "7"])
      #expect(replayed.status == 0, "\(replayed)")
    }

    private static let thumbnail = ["inpainting.thumbnail=2", "model.context_channels=16"]

    @Test("a thumbnail in the latent's place: another run, the same on any ranks and data")
    func thumbnail() throws {
      let scratch = try Scratch()
      let cached = ["data.cache=\(try Self.folder)/cache"]
      let streamed = [
        "data.cache=null", "data.images=\(Self.pictures)", "data.size=32",
        "data.placement=scatter",
      ]
      let runs = try [(1, cached), (2, cached), (2, streamed)].enumerated().map { k, row in
        let run = "\(scratch.path)/\(k)"
        try latentflow(try Self.train(run) + row.1 + Self.thumbnail, ranks: row.0).requireSuccess()
        return run
      }
      let bits = try runs.map { try TrainedBits(run: $0, step: 20) }
      for other in bits.dropFirst() {
        #expect(other == bits[0], "\(other.difference(from: bits[0]))")
      }
      let completed = try [1, 2].map { ranks in
        let out = "\(scratch.path)/out-\(ranks)"
        return try complete(out, run: runs[0], ranks: ranks, ["--kind", Self.everyKind])
      }
      #expect(completed[0].count == 49 && completed[0] == completed[1])
      // Cells of thirds of 8 pixels.
      let refused = try latentflow(
        try Self.train("\(scratch.path)/thirds") + cached
          + ["inpainting.thumbnail=3", "model.context_channels=36"])
      #expect(refused.status == 78 && refused.errors.contains("inpainting.thumbnail"), "\(refused)")
    }

    // MARK: - Completing pictures

    private static let solver = ["--solver", "euler", "--steps", "2", "--seed", "5"]

    private func complete(
      _ out: String, run: String? = nil, ranks: Int = 1, _ more: [String]
    ) throws -> [String: Data] {
      try latentflow(
        ["inpaint", try run ?? Self.run, "--images", Self.pictures, "--size", "32", "--out", out]
          + Self.solver + more, ranks: ranks
      ).requireSuccess()
      // How they were made names the ranks and the time.
      return try contents(of: out).filter { $0.key != "inpainting.json" }
    }

    @Test("the same pictures on any number of ranks, for any count, with holes of every kind")
    func completing() throws {
      let scratch = try Scratch()
      let masks = "\(scratch.path)/masks"
      let drawn = ["--kind", Self.everyKind]
      let expected = try complete(
        "\(scratch.path)/one", drawn + ["--save-masks", masks, "--grid", "\(scratch.path)/g.png"])
      #expect(expected.count == 49 && expected["labels.csv"] != nil)
      #expect(try imageSize(ofFile: "\(scratch.path)/g.png").width == 12 * 34 + 2)
      for ranks in [2, 3] {
        #expect(try complete("\(scratch.path)/\(ranks)", ranks: ranks, drawn) == expected)
      }
      let few = try complete("\(scratch.path)/few", drawn + ["--count", "3"])
      #expect(few.filter { $0.key.hasSuffix(".png") }.count == 3)
      for (name, data) in few where name.hasSuffix(".png") { #expect(expected[name] == data) }
      // From files, the same; stored for pictures of the size that they are cut out at.
      try latentflow([
        "dataset", "masks", Self.pictures, "--size", "32", "--kind", Self.everyKind, "--seed", "5",
        "--out", "\(scratch.path)/stored",
      ]).requireSuccess()
      let stored = try contents(of: "\(scratch.path)/stored").filter { $0.key.hasSuffix(".png") }
      #expect(try stored == contents(of: masks))
      try latentflow([
        "dataset", "masks", Self.pictures, "--kind", "boxes", "--out", "\(scratch.path)/64",
      ])
      .requireSuccess()
      #expect(
        try complete("\(scratch.path)/other", ["--masks", "\(scratch.path)/64"]) != expected)
    }

    @Test("known pixels are kept exactly where that is asked for")
    func keepKnown() throws {
      let scratch = try Scratch()
      let (kept, free) = ("\(scratch.path)/kept", "\(scratch.path)/free")
      let masks = "\(scratch.path)/masks"
      let kind = ["--kind", "center", "--count", "4"]
      _ = try complete(kept, kind + ["--keep-known", "--save-masks", masks])
      _ = try complete(free, kind)
      let source = try PreparedImages(openImageSource(Self.pictures), fit: .centerCrop(32))
      for i in 0..<4 {
        let name = source.name(i)
        let picture = try source.image(i)
        let mask = try HoleMask(contentsOf: "\(masks)/\(name)")
        let (exact, decoded) = (
          try ImageBuffer(contentsOf: "\(kept)/\(name)"),
          try ImageBuffer(contentsOf: "\(free)/\(name)")
        )
        #expect(mask.composite(decoded, over: picture) == exact)
        #expect(decoded != exact && mask.masked(exact) == mask.masked(picture))
      }
    }

    // MARK: - Figures

    @Test("figures by area: the same report, byte for byte, on 1 and 2 ranks")
    func figures() throws {
      let scratch = try Scratch()
      let (masks, out) = ("\(scratch.path)/masks", "\(scratch.path)/out")
      _ = try complete(
        out, ["--kind", "mixed:thin=1,area=1,shape=1", "--keep-known", "--save-masks", masks])
      func report(_ results: String, ranks: Int, _ more: [String] = []) throws -> String {
        let file = "\(scratch.path)/report-\(ranks)-\(more.count).json"
        try latentflow(
          [
            "evaluate-inpainting", results, "--originals", Self.pictures, "--size", "32",
            "--masks", masks, "--features-of", Workshop.autoencoder, "--out", file,
          ] + more, ranks: ranks
        ).requireSuccess()
        return try String(contentsOfFile: file, encoding: .utf8)
      }
      let expected = try report(out, ranks: 1)
      for name in ["L1", "PSNR", "SSIM", "P-IDS", "U-IDS", "Fréchet distance", "pictures_hash"] {
        #expect(expected.contains("\"\(name)"), "\(expected)")
      }
      #expect(expected.contains("\"count\" : 48"))
      #expect(try report(out, ranks: 2) == expected)
      #expect(try report(out, ranks: 3) == expected)
      #expect(try report(out, ranks: 1, ["--count", "20"]) != expected)
      // The pictures themselves: no error, and nobody can tell them from themselves.
      let same = "\(scratch.path)/same"
      try FileManager.default.createDirectory(atPath: same, withIntermediateDirectories: true)
      let source = try PreparedImages(openImageSource(Self.pictures), fit: .centerCrop(32))
      for i in 0..<48 { try source.image(i).writePNG(to: "\(same)/\(source.name(i))") }
      let perfect = try report(same, ranks: 2)
      for figure in ["\"L1\" : 0,", "\"P-IDS\" : 0,", "\"U-IDS\" : 0.5\n"] {
        #expect(perfect.contains(figure), "\(figure) \(perfect)")
      }
    }

    // MARK: - What cannot be completed

    /// What is done to a folder of two pictures of 32 pixels and one of their masks.
    struct Fault: Sendable, CustomTestStringConvertible {
      var name: String
      var status: Int32
      var mentions: [String]
      var change: @Sendable (String) throws -> Void = { _ in }
      var more: [String] = []
      var testDescription: String { name }
    }

    static let faults: [Fault] = [
      Fault(name: "no mask", status: 66, mentions: ["masks: no mask of b.png", "expected b.png"]) {
        try FileManager.default.removeItem(atPath: "\($0)/masks/b.png")
      },
      Fault(name: "no hole", status: 65, mentions: ["masks/b.png: no hole: every pixel is white"]) {
        try HoleMask(ImageSize(width: 32, height: 32)).writePNG(to: "\($0)/masks/b.png")
      },
      Fault(
        name: "a mask of another size", status: 65,
        mentions: ["masks/b.png: a mask of 16×16; expected 32×32 like b.png"]
      ) { try HoleMask(ImageSize(width: 16, height: 16)).writePNG(to: "\($0)/masks/b.png") },
      Fault(
        name: "a picture of odd size", status: 65,
        mentions: ["images/b.png: a picture of 33×31; expected 32×32", "--size 32"]
      ) { try ImageBuffer(width: 33, height: 31, gray: 9).writePNG(to: "\($0)/images/b.png") },
      Fault(name: "a damaged picture", status: 65, mentions: ["images/b.png, byte"]) {
        let file = URL(fileURLWithPath: "\($0)/images/b.png")
        try Data(contentsOf: file).prefix(60).write(to: file)
      },
      Fault(
        name: "too few pictures", status: 65, mentions: ["2 pictures; expected at least 3"],
        more: ["--count", "3"]),
      Fault(
        name: "no label maps", status: 64, mentions: ["--kind: one that hides by label"],
        more: ["--kind", "shape"]),
      Fault(
        name: "an unknown kind", status: 64, mentions: ["--kind: «boxs»", "did you mean boxes?"],
        more: ["--kind", "boxs"]),
    ]

    /// Two pictures and their masks, of `size` pixels.
    private func album(_ scratch: Scratch) throws {
      for name in ["images", "masks"] {
        try FileManager.default.createDirectory(
          atPath: "\(scratch.path)/\(name)", withIntermediateDirectories: true)
      }
      let set = ShapesDataset(size: 32, seed: 1, count: 2)
      for (i, name) in ["a", "b"].enumerated() {
        try set.image(i).writePNG(to: "\(scratch.path)/images/\(name).png")
        let mask = HoleMask(width: 32, height: 32, levels: (0..<1024).map { $0 < 300 ? 0 : 255 })
        try mask.writePNG(to: "\(scratch.path)/masks/\(name).png")
      }
    }

    @Test("ends at once, naming the file", arguments: faults)
    func fault(_ fault: Fault) throws {
      for ranks in [1, 2] {
        let scratch = try Scratch()
        try album(scratch)
        try fault.change(scratch.path)
        let masks = fault.more.contains("--kind") ? [] : ["--masks", "\(scratch.path)/masks"]
        let ended = try latentflow(
          [
            "inpaint", try Self.run, "--images", "\(scratch.path)/images", "--out",
            "\(scratch.path)/out",
          ] + masks + Self.solver + fault.more, ranks: ranks)
        #expect(ended.status == fault.status && ended.errorLines.count == 1, "\(ended)")
        for mention in fault.mentions { #expect(ended.errors.contains(mention), "\(ended)") }
        let made = try? FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/out")
        #expect(made?.isEmpty ?? true)
      }
    }

    @Test("grey, RGBA and 16-bit pictures and masks are taken as their RGB8")
    func otherPictures() throws {
      let scratch = try Scratch()
      try album(scratch)
      let fixtures = "\(Workshop.repository)/Tests/Fixtures/files"
      var names = ["a", "b"]
      for name in ["image_gray8", "image_rgba8", "image_rgb16", "image_gray16"] {
        let picture = "\(scratch.path)/images/\(name).png"
        try FileManager.default.copyItem(atPath: "\(fixtures)/\(name).png", toPath: picture)
        let size = try imageSize(ofFile: picture)
        let count = size.width * size.height
        try HoleMask(
          width: size.width, height: size.height,
          levels: (0..<count).map { 2 * $0 < count ? 0 : 255 }
        ).writePNG(to: "\(scratch.path)/masks/\(name).png")
        names.append(name)
      }
      try latentflow(
        [
          "inpaint", try Self.run, "--images", "\(scratch.path)/images", "--size", "32", "--masks",
          "\(scratch.path)/masks", "--out", "\(scratch.path)/out", "--keep-known",
        ] + Self.solver
      ).requireSuccess()
      for name in names {
        let picture = try ImageBuffer(contentsOf: "\(scratch.path)/images/\(name).png")
        let mask = try HoleMask(contentsOf: "\(scratch.path)/masks/\(name).png")
          .fitted(.centerCrop(32), image: picture.size)
        let result = try ImageBuffer(contentsOf: "\(scratch.path)/out/\(name).png")
        #expect(mask.masked(result) == mask.masked(picture.fitted(.centerCrop(32))), "\(name)")
        #expect(mask.area > 0.2 && mask.area < 0.8)
      }
    }

    @Test("models and commands that do not go together are refused")
    func tasks() throws {
      let scratch = try Scratch()
      let sampled = try latentflow(["sample", try Self.run, "--out", "\(scratch.path)/out"])
      #expect(sampled.status == 78 && sampled.errors.contains("use `latentflow inpaint`"))
      let completed = try latentflow([
        "inpaint", try Trained.run, "--images", Self.pictures, "--kind", "center", "--out",
        "\(scratch.path)/out",
      ])
      #expect(completed.status == 78 && completed.errors.contains("use `latentflow sample`"))
      let narrow = try latentflow(
        try Self.train(
          "\(scratch.path)/run", "data.cache=\(try Self.folder)/cache", "model.context_channels=0"))
      #expect(
        narrow.status == 78 && narrow.errors.contains("model.context_channels")
          && narrow.errors.contains("inpainting gives 5"), "\(narrow)")
    }
  }
}
