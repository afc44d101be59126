import Diagnostics
import FlowData
import Foundation
import Testing

@Suite("Sets of pictures") struct ImageSourcesTests {
  private func put(_ path: String, _ bytes: [UInt8]) throws {
    try FileManager.default.createDirectory(
      atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  private func put(_ path: String, gray: UInt8, width: Int = 6, height: Int = 4) throws {
    try put(path, ImageBuffer(width: width, height: height, gray: gray).encodedPNG())
  }

  private func put(_ path: String, labels: [UInt8], width: Int) throws {
    let map = LabelMap(width: width, height: labels.count / width, labels: labels)
    try put(path, [])
    try map.writePNG(to: path)
  }

  /// Record r of a file: label r % 10, sample k of plane c is (r + k + 50c) mod 256.
  private func records(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for r in 0..<count {
      bytes.append(UInt8(r % 10))
      for k in 0..<3072 {
        let level: Int = r + k % 1024 + 50 * (k / 1024)
        bytes.append(UInt8(truncatingIfNeeded: level))
      }
    }
    return bytes
  }

  @Test func cifar10Binary() throws {
    let folder = try ScratchFolder()
    for batch in 1...5 { try put(folder / "data_batch_\(batch).bin", records(batch)) }
    try put(folder / "test_batch.bin", records(12))
    let train = try openImageSource(folder.path)
    #expect(train.count == 15 && train.classNames?[6] == "frog")
    #expect(train.name(1) == "data_batch_2.bin/00000" && train.name(14) == "data_batch_5.bin/00004")
    #expect((10..<15).map { train.label($0) } == [0, 1, 2, 3, 4])
    let image = try train.image(14)
    #expect(image.size == ImageSize(width: 32, height: 32))
    #expect(image[3, 2] == SIMD3(71, 121, 171))  // 4 + 2·32 + 3, and 50 more per plane
    let test = try openImageSource("cifar10:\(folder.path)#test")
    #expect(test.count == 12 && test.label(11) == 1)

    try put(folder / "batches.meta.txt", Array((0..<10).map { "c\($0)\n" }.joined().utf8))
    #expect(try openImageSource(folder.path).classNames == (0..<10).map { "c\($0)" })
    var wrong = records(2)
    wrong[3073] = 10
    try put(folder / "test_batch.bin", wrong)
    let label = try userError { _ = try openImageSource("cifar10:\(folder.path)#test") }
    #expect(label.place == "byte 3073" && label.found == "label 10")
    try put(folder / "test_batch.bin", Array(records(2).dropLast()))
    let cut = try userError { _ = try openImageSource("cifar10:\(folder.path)#test") }
    #expect(cut.status == .badData && cut.found == "6145 bytes")
    let split = try userError { _ = try openImageSource("cifar10:\(folder.path)#val") }
    #expect(split.status == .usage)
  }

  /// As Python 2 pickled it: text and array data as byte strings.
  @Test func cifar10Python() throws {
    let set = try CIFAR10(FormatFixtures.file("cifar-10-batches-py"), split: "test")
    #expect(set.count == 2 && set.label(0) == 3 && set.label(1) == 9)
    #expect(set.name(1) == "test_batch/00001")
    // Sample k of picture r is (7r + k) mod 256; planes are 4 · 256 long.
    #expect(try set.image(1)[3, 2] == SIMD3(repeating: 7 + 2 * 32 + 3))
    let folder = try ScratchFolder()
    let file = URL(fileURLWithPath: FormatFixtures.file("cifar-10-batches-py/test_batch"))
    let bytes = [UInt8](try Data(contentsOf: file))
    for count in stride(from: 0, to: bytes.count, by: 307) {
      try put(folder / "test_batch", Array(bytes[..<count]))
      #expect(throws: UserError.self) { _ = try CIFAR10(folder.path, split: "test") }
    }
    let missing = try userError {
      _ = try openImageSource(FormatFixtures.file("cifar-10-batches-py"))
    }
    #expect(missing.status == .missingInput)
  }

  /// {"labels": …} of EDM in all its forms.
  @Test func zipsOfEDM() throws {
    let folder = try ScratchFolder()
    let set = ShapesDataset(size: 16, seed: 5, count: 3)
    _ = try packPictures(set, as: .zip, to: folder / "s.zip")
    let packed = try openImageSource(folder / "s.zip")
    #expect(packed.name(2) == "00000/img00000002.png")
    #expect((0..<3).map { packed.label($0) } == (0..<3).map { set.label($0) })
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder / "s.zip")))
    for count in stride(from: 0, to: bytes.count, by: 97) {
      try put(folder / "cut.zip", Array(bytes[..<count]))
      #expect(throws: UserError.self) { _ = try ZipImages(folder / "cut.zip") }
    }
    for at in stride(from: 0, to: bytes.count, by: 29) {
      var changed = bytes
      changed[at] ^= UInt8(1 + at % 255)
      try put(folder / "changed.zip", changed)
      guard let set = try? ZipImages(folder / "changed.zip") else { continue }
      for i in 0..<set.count { _ = try? set.image(i) }
    }
  }

  /// A pickled pair (bytes, number), protocol 3.
  private func pickled(_ bytes: [UInt8], _ label: UInt8) -> [UInt8] {
    var pickle: [UInt8] = [0x80, 3, UInt8(ascii: "B")]
    for k in 0..<4 { pickle.append(UInt8(truncatingIfNeeded: bytes.count >> (8 * k))) }
    pickle += bytes
    pickle += [UInt8(ascii: "K"), label, 0x86, UInt8(ascii: ".")]
    return pickle
  }

  @Test func torchToolboxDatabase() throws {
    let folder = try ScratchFolder()
    let pictures = try (0..<3).map {
      try ImageBuffer(width: 5, height: 5, gray: UInt8(40 * $0)).encodedPNG()
    }
    func write(_ name: String, second: [UInt8]) throws -> String {
      let writer = try LMDBWriter(folder / name)
      try writer.add(Array("0".utf8), pickled(pictures[0], 4))
      try writer.add(Array("1".utf8), second)
      try writer.add(Array("2".utf8), pickled(pictures[2], 0))
      try writer.add(Array("__len__".utf8), [0x80, 3, UInt8(ascii: "K"), 3, UInt8(ascii: ".")])
      try writer.finish()
      return folder / name
    }
    let set = try openImageSource("lmdb:" + write("good", second: pickled(pictures[1], 1)))
    #expect(set is TorchToolboxLMDB && set.count == 3 && set.classNames?.count == 5)
    #expect((0..<3).map { set.label($0) } == [4, 1, 0])
    #expect(try set.image(2).pixels[7] == 80)
    for wrong in [[UInt8](repeating: 255, count: 40), [0x80, 3, 0x4B, 1, 0x2E], []] {
      let path = try write("wrong-\(wrong.count)", second: wrong)
      let error = try userError { _ = try openImageSource("lmdb:" + path) }
      #expect(error.status == .badData && error.place?.hasPrefix("key 1") == true, "\(error)")
    }
  }

  @Test func latentsMadeElsewhere() throws {
    let expected = try ReferenceBytes("files/shards.expected.safetensors")
    let tars = FormatFixtures.file("shard-{000000..000002}.tar")
    let set = try LatentArrays(tars, channels: 4)
    let keys = try WebDataset(tars)
    #expect(set.count == 7 && set.latentShape == [2, 2, 4] && !set.hasLogvar)
    for i in 0..<7 {
      let planes = try expected.floats("\(keys.key(i)).latent").data
      var channelsLast: [Float] = []
      for position in 0..<4 {
        for channel in 0..<4 { channelsLast.append(planes[4 * channel + position]) }
      }
      let latent = try set.latent(i).mean
      #expect(latent == channelsLast)
      #expect(set.label(i) == keys.label(i))
    }
    // Twice the channels: means, then log-variances.
    let moments = try LatentArrays(tars, channels: 2)
    #expect(moments.hasLogvar && moments.latentShape == [2, 2, 2])
    #expect(try moments.latent(0).logvar?.count == 8)
    #expect(try userError { _ = try LatentArrays(tars, channels: 3) }.status == .badData)

    let folder = try ScratchFolder()
    let values = (0..<2 * 3 * 2 * 2).map(Float.init)
    for i in 0..<2 {
      let rows = Array(values[i * 12..<(i + 1) * 12])
      try put(folder / "set/\(["b", "a"][i])/\(i).npy", numpy(rows, [3, 2, 2]))
    }
    try put(folder / "all.npy", numpy(values, [2, 3, 2, 2]))
    let stacked = try LatentArrays(folder / "all.npy", channels: 3)
    #expect(stacked.count == 2 && stacked.classNames == nil)
    #expect(try stacked.latent(1).mean == [12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23])
    let files = try LatentArrays(folder / "set", channels: 3)
    #expect(files.classNames == ["a", "b"] && files.name(0) == "a/1.npy")
    #expect(try files.latent(0).mean == stacked.latent(1).mean)
    #expect(try files.fingerprint() != stacked.fingerprint())
    try put(folder / "set/b/0.npy", numpy([.nan] + [Float](repeating: 0, count: 11), [3, 2, 2]))
    let broken = try userError { _ = try files.latent(1) }
    #expect(broken.subject.hasSuffix("b/0.npy") && broken.found == "a value that is no number")
  }

  /// A `.npy` file of float32.
  private func numpy(_ values: [Float], _ shape: [Int]) -> [UInt8] {
    let dims = shape.map { "\($0)" }.joined(separator: ", ")
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(dims)), }"
    let padded = text + String(repeating: " ", count: 117 - text.count) + "\n"
    var file: [UInt8] = [0x93]
    file += "NUMPY".utf8
    file += [1, 0, 118, 0] as [UInt8]
    file += padded.utf8
    values.withUnsafeBytes { file += $0 }
    return file
  }

  @Test func imageNet() throws {
    let folder = try ScratchFolder()
    for (name, gray) in [("n02/b.JPEG", 2), ("n01/a.JPEG", 1), ("n02/c.JPEG", 3)] {
      try put(folder / "train/\(name)", gray: UInt8(gray))
    }
    try put(folder / "val/ILSVRC2012_val_1.JPEG", gray: 9)
    try put(folder / "val/ILSVRC2012_val_2.JPEG", gray: 8)
    let train = try openImageSource(folder.path)
    #expect(train.classNames == ["n01", "n02"])
    #expect((0..<3).map { train.name($0) } == ["n01/a.JPEG", "n02/b.JPEG", "n02/c.JPEG"])
    let unlabelled = try userError { _ = try openImageSource("imagenet:\(folder.path)#val") }
    #expect(unlabelled.status == .missingInput)
    let lines = [
      "ImageId,PredictionString", "ILSVRC2012_val_1,n02 1 2 3 4",
      "ILSVRC2012_val_2,n01 1 2 3 4 n01 5 6 7 8",
    ]
    try put(folder / "LOC_val_solution.csv", Array(lines.joined(separator: "\n").utf8))
    let val = try openImageSource("imagenet:\(folder.path)#val")
    #expect(val.classNames == ["n01", "n02"] && val.label(0) == 1 && val.label(1) == 0)
    try put(folder / "LOC_val_solution.csv", Array(lines.prefix(2).joined(separator: "\n").utf8))
    let missing = try userError { _ = try openImageSource("imagenet:\(folder.path)#val") }
    #expect(missing.found == "no class for ILSVRC2012_val_2.JPEG")
  }

  @Test func labelMapsBesidePictures() throws {
    let folder = try ScratchFolder()
    for (kind, part, annotations, highest) in [
      ("ade20k", "training", "ade/annotations", 150),
      ("coco-stuff", "val2017", "coco/stuffthingmaps", 181),
    ] {
      let root = annotations.hasPrefix("ade") ? folder / "ade" : folder / "coco"
      for name in ["a", "b"] { try put("\(root)/images/\(part)/\(name).png", gray: 5, width: 3) }
      let labels = [UInt8(0), 1, UInt8(highest)] + [UInt8](repeating: 255, count: 9)
      for name in ["a", "b"] {
        try put(folder / "\(annotations)/\(part)/\(name).png", labels: labels, width: 3)
      }
      let set = try openImageSource("\(kind):\(root)#\(part)")
      let masked = try #require(set as? any MaskedImageSource)
      #expect(set.count == 2 && masked.maskClasses == highest + 1 && set.classNames == nil)
      #expect(try masked.mask(1).labels == labels)
      try put(
        folder / "\(annotations)/\(part)/b.png",
        labels: labels.map { $0 == 1 ? UInt8(highest + 1) : $0 }, width: 3)
      #expect(try userError { _ = try masked.mask(1) }.found == "label \(highest + 1)")
      try put(folder / "\(annotations)/\(part)/b.png", labels: [0, 0], width: 1)
      #expect(try userError { _ = try masked.mask(1) }.found == "a map of 1×2")
      try FileManager.default.removeItem(atPath: folder / "\(annotations)/\(part)/b.png")
      let gone = try userError { _ = try openImageSource("\(kind):\(root)#\(part)") }
      #expect(gone.found == "no label map for b.png")
    }
  }

  /// Parts lie over one another, the later one on top.
  @Test func celebAMask() throws {
    let folder = try ScratchFolder()
    for name in ["0.jpg", "2001.jpg"] { try put(folder / "CelebA-HQ-img/\(name)", gray: 3) }
    let parts = folder / "CelebAMask-HQ-mask-anno/1"
    for (part, on) in [("skin", 0..<3), ("nose", 1..<2), ("cloth", 2..<4)] {
      let levels = (0..<4).flatMap { [UInt8](repeating: on.contains($0) ? 255 : 0, count: 3) }
      try put(
        "\(parts)/02001_\(part).png",
        ImageBuffer(width: 4, height: 1, pixels: levels).encodedPNG())
    }
    let set = try #require(try openImageSource(folder.path) as? CelebAMaskHQ)
    #expect(set.count == 2 && set.name(1) == "2001.jpg" && set.maskClasses == 19)
    #expect(try set.mask(1).labels == [1, 2, 18, 18])
    #expect(try userError { _ = try set.mask(0) }.status == .missingInput)
  }

  @Test func locationsNameKindPathAndPart() throws {
    let rows: [(String, ImageLocation.Kind)] = [
      (FormatFixtures.file("lfm_lmdb"), .lmdb),
      (FormatFixtures.file("lsun/church_outdoor_train_lmdb"), .lmdb),
      (FormatFixtures.file("shard-{000000..000002}.tar"), .tar), ("shapes:8@16#3", .shapes),
    ]
    for (text, kind) in rows {
      let location = try ImageLocation(text)
      #expect(location.kind == kind && location.exists, "\(text)")
      #expect(try location.open().count > 3)
    }
    #expect(try openImageSource("lmdb:\(FormatFixtures.file("lfm_lmdb"))#validation").count == 5)
    #expect(try openImageSource("shapes:8@16#3").image(5) == ShapesDataset(size: 16, seed: 3).image(5))
    let kind = try userError { _ = try ImageLocation("lmbd:x") }
    #expect(kind.status == .usage && kind.advice == "did you mean lmdb:?")
    #expect(try userError { _ = try ImageLocation("/nowhere") }.status == .missingInput)
    #expect(try userError { _ = try openImageSource("shapes:8") }.status == .usage)
    let part = try userError {
      _ = try openImageSource("tar:\(FormatFixtures.file("shard-000000.tar"))#val")
    }
    #expect(part.status == .usage)
  }

  @Test func brokenPicturesAreListedAndLeftOut() throws {
    let folder = try ScratchFolder()
    for i in 0..<5 { try put(folder / "\(i).png", gray: UInt8(i)) }
    let bad = FormatFixtures.file("bad_png_truncated.png")
    for i in [1, 3] {
      try FileManager.default.removeItem(atPath: folder / "\(i).png")
      try FileManager.default.copyItem(atPath: bad, toPath: folder / "\(i).png")
    }
    let all = try ImageFolder(folder.path)
    let report = try ImageSetReport(all, 0..<5, decoding: true)
    #expect(report.pictures == 5 && report.broken.map(\.name) == ["1.png", "3.png"])
    #expect(report.broken[0].reason.contains("1.png, byte 513"))
    #expect(report.rankedSizes.map(\.count) == [3])
    #expect(try all.broken(in: 2..<5).map(\.name) == ["3.png"])
    // Headers alone do not tell.
    #expect(try ImageSetReport(all, 0..<5, decoding: false).broken.isEmpty)
    let rest = try SelectedImages(all, without: ["3.png", "1.png"])
    #expect((0..<3).map { rest.name($0) } == ["0.png", "2.png", "4.png"])
    #expect(try rest.image(2).pixels[0] == 4)
    #expect(try SelectedImages(all, named: ["4.png", "0.png"]).name(1) == "4.png")
    let unknown = try userError { _ = try SelectedImages(all, named: ["5.png"]) }
    #expect(unknown.found == "no picture 5.png")
  }

  @Test func splitsKeepSharesAndForgetLittle() throws {
    let set = ShapesDataset(size: 16, seed: 0, count: 320)
    let parts = [
      ImageSetSplit.Part(name: "train", share: 0.8), ImageSetSplit.Part(name: "val", share: 0.1),
    ]
    let split = ImageSetSplit(set, parts, seed: 1)
    #expect(split.indices.map(\.count) == [256, 32])
    #expect(Set(split.indices[0]).isDisjoint(with: split.indices[1]))
    for part in split.indices { #expect(part == part.sorted()) }
    let perClass = split.indices[1].reduce(into: [:]) { $0[set.label($1)!, default: 0] += 1 }
    #expect(perClass.count == 16 && perClass.values.allSatisfy { $0 == 2 })
    #expect(ImageSetSplit(set, parts, seed: 1).indices == split.indices)
    #expect(ImageSetSplit(set, parts, seed: 2).indices != split.indices)
    // Without its last class round, nearly all pictures stay where they were.
    let fewer = ImageSetSplit(ShapesDataset(size: 16, seed: 0, count: 304), parts, seed: 1)
    #expect(Set(fewer.indices[0]).subtracting(split.indices[0]).count <= 16)
  }

  /// What is packed reads back with the same pictures and labels, twice the same bytes.
  @Test(arguments: ["set.tar", "set.lmdb", "set.zip"])
  func packedSetsReadBack(_ name: String) throws {
    let folder = try ScratchFolder()
    let set = ShapesDataset(size: 32, seed: 5, count: 700)
    let form = try #require(PackedForm(path: name, samples: nil))
    #expect(try packPictures(set, as: form, to: folder / name) == [folder / name])
    let packed = try openImageSource(folder / name)
    #expect(packed.count == 700)
    for i in stride(from: 0, to: 700, by: 23) {
      #expect(try packed.image(i) == set.image(i))
      #expect(name.hasSuffix("lmdb") || packed.label(i) == set.label(i))
    }
    _ = try packPictures(set, as: form, to: folder / "again-\(name)")
    #expect(try openImageSource(folder / "again-\(name)").fingerprint() == packed.fingerprint())
  }

  @Test func tarsOfSomePicturesEach() throws {
    let folder = try ScratchFolder()
    let set = ShapesDataset(size: 16, seed: 5, count: 10)
    let made = try packPictures(set, as: .tar(samples: 4), to: folder / "s.tar")
    #expect(made == (0..<3).map { folder / "s-00000\($0).tar" })
    let packed = try openImageSource(folder / "s-{000000..000002}.tar")
    #expect((0..<10).map { packed.label($0) } == (0..<10).map { set.label($0) })
    #expect(packed.name(9) == "s-000002.tar/000000009")
    #expect(try openImageSource(folder.path).count == 10)
  }

  /// Pictures beyond a page, small ones beside them in a leaf, and more leaves than a branch takes.
  @Test func databasesOfAllSizes() throws {
    let folder = try ScratchFolder()
    for count in [0, 1, 30_000] {
      let writer = try LMDBWriter(folder / "\(count)")
      func value(_ i: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: i), count: i % 5000 == 0 ? 9000 : i % 90)
      }
      for i in 0..<count { try writer.add(Array("\(10_000_000 + i)".utf8), value(i)) }
      try writer.finish()
      let file = try LMDBFile(folder / "\(count)")
      #expect(file.count == count)
      for i in stride(from: 0, to: count, by: 277) {
        #expect(try file.value(i) == value(i))
        #expect(file.find("\(10_000_000 + i)".utf8) == i)
      }
    }
  }
}
