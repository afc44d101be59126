import FlowData
import FlowTensor
import Testing

@Suite("Image transforms") struct ImagesTransformTests {
  @Test(arguments: ["image0", "image1", "image2"], [16, 24])
  func resizingEqualsTheReference(_ name: String, _ size: Int) throws {
    let reference = try ReferenceBytes("O_image_transforms.safetensors")
    let image = try reference.image("inputs.\(name)")
    let rows: [(String, ImageBuffer)] = [
      ("center_crop_arr", image.fitted(.centerCrop(size))),
      ("resize", image.resizedShortSide(to: size)),
      ("resize_crop", image.fitted(.resizeCrop(size))),
    ]
    for (operation, result) in rows {
      let expected = try reference.image("outputs.\(name).\(operation)_\(size)")
      #expect(largestDifference(result, expected) == 0, "\(operation)")
    }
    #expect(image.flippedHorizontally() == (try reference.image("outputs.\(name).flip")))
  }

  /// Pillow 13's own results, growing and shrinking.
  @Test(arguments: ResizeFilter.allCases, [(16, 16), (31, 70), (52, 20), (100, 37)])
  func filtersEqualPillow(_ filter: ResizeFilter, _ size: (width: Int, height: Int)) throws {
    let image = try ReferenceBytes("O_image_transforms.safetensors").image("inputs.image0")
    let expected = try ReferenceBytes("files/resize.expected.safetensors")
      .image("\(filter)_\(size.width)x\(size.height)")
    let found = image.resized(width: size.width, height: size.height, filter)
    #expect(largestDifference(found, expected) == 0)
    let fitted = image.fitted(.stretch(16, filter))
    #expect(fitted == image.resized(width: 16, height: 16, filter))
  }

  /// A crop is a function of seed and index, lies within the scaled picture, and reaches its edges.
  @Test func randomCropsFollowSeedAndIndex() throws {
    var levels = [UInt8]()
    for y in 0..<40 { for x in 0..<56 { levels += [UInt8(4 * x), UInt8(6 * y), 0] } }
    let image = ImageBuffer(width: 56, height: 40, pixels: levels)
    let crops = (0..<64).map { image.fitted(.randomCrop(16, seed: 3), index: $0) }
    for (i, crop) in crops.enumerated() {
      #expect(crop.size == ImageSize(width: 16, height: 16))
      #expect(crop == image.fitted(.randomCrop(16, seed: 3), index: i))
    }
    #expect(Set(crops.map(\.pixels)).count > 40)
    #expect(crops[0] != image.fitted(.randomCrop(16, seed: 4), index: 0))
    let left = crops.map { $0[0, 0].x }
    let right = crops.map { $0[15, 0].x }
    #expect(left.min()! < 12 && right.max()! > 208)
  }

  @Test func levelsBecomeTheReferencesNumbers() throws {
    let reference = try ReferenceBytes("O_image_transforms.safetensors")
    let image = try reference.image("inputs.image0")
    let (shape, planes) = try reference.floats("outputs.image0.normalised")  // [3, H, W]
    let batch = tensor(of: [image])
    #expect(batch.shape == Shape([1, shape[1], shape[2], 3]))
    let area = shape[1] * shape[2]
    let differences = batch.values.enumerated().map { i, value in
      abs(value - planes[i % 3 * area + i / 3])
    }
    #expect(differences.max()! < 1e-6)
  }

  @Test func truncatingToneEqualsTheReference() throws {
    let reference = try ReferenceBytes("G_image_metrics.safetensors")
    let values = try reference.floats("inputs.pred").data
    let expected = try reference.bytes("outputs.pred_uint8").data
    #expect(values.map { ToneMap.truncating.level($0) } == expected)
  }

  @Test func nearestToneUndoesLoading() {
    let levels = (0..<255).map { UInt8($0) } + [255]
    let image = ImageBuffer(width: 16, height: 16, pixels: levels + levels + levels)
    let batch = tensor(of: [image, image.flippedHorizontally()])
    #expect(images(of: batch) == [image, image.flippedHorizontally()])
    let rows: [(Float, UInt8, UInt8)] = [
      (-1, 0, 0), (1, 255, 255), (-7, 0, 0), (3, 255, 255), (0, 128, 127), (.nan, 0, 0),
      (.infinity, 255, 255), (-.infinity, 0, 0), (0.99, 254, 253),
    ]
    for (x, nearest, truncated) in rows {
      #expect(ToneMap.nearest.level(x) == nearest, "\(x)")
      #expect(ToneMap.truncating.level(x) == truncated, "\(x)")
    }
  }

  @Test func flatImagesStayFlat() {
    let flat = ImageBuffer(width: 37, height: 19, gray: 201)
    for filter in ResizeFilter.allCases {
      for (width, height) in [(5, 5), (37, 19), (80, 41), (1, 1)] {
        let result = flat.resized(width: width, height: height, filter)
        #expect(result == ImageBuffer(width: width, height: height, gray: 201))
      }
    }
  }

  @Test func gridPlacesImagesRowByRow() {
    let tiles = (0..<5).map { ImageBuffer(width: 3, height: 2, gray: UInt8($0 + 1)) }
    let grid = ImageGrid(columns: 3, padding: 2, ground: 9).compose(tiles)
    #expect(grid.width == 3 * 5 + 2 && grid.height == 2 * 4 + 2)
    for y in 0..<grid.height {
      for x in 0..<grid.width {
        let (column, row) = ((x - 2) / 5, (y - 2) / 4)
        let inside = x >= 2 && y >= 2 && (x - 2) % 5 < 3 && (y - 2) % 4 < 2
        let tile = row * 3 + column
        let expected: UInt8 = inside && tile < 5 ? UInt8(tile + 1) : 9
        #expect(grid[x, y] == SIMD3(repeating: expected), "(\(x), \(y))")
      }
    }
  }
}
