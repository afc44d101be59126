import FlowMetrics
import FlowTensor
import Foundation
import Testing

@Suite("Metrics on images", .serialized)
struct ImageMetricsTests {
  private func flat(_ values: [Float], side: Int = 12) -> Tensor {
    Tensor(
      [values.count, side, side, 3],
      values.flatMap { [Float](repeating: $0, count: side * side * 3) })
  }

  @Test("errors of flat images are their differences, image by image")
  func errors() {
    let (a, b) = (flat([0.5, -0.25, 1.5]), flat([0.25, 0.25, 0.75]))
    #expect(meanSquaredErrors(a, b) == [0.0625, 0.25, 0.5625])
    #expect(meanAbsoluteErrors(a, b) == [0.25, 0.5, 0.75])
    // Clamped to [0, 1]: 0.25 apart in each.
    for value in peakSignalToNoise(a, b) { #expect(abs(value - 20 * log10(4)) < 1e-12) }
    #expect(peakSignalToNoise(a, a).allSatisfy { $0 == .infinity })
  }

  @Test("the Laplacian of a plane is 0, that of a paraboloid constant, of a checkerboard largest")
  func sharpness() {
    func image(_ level: (Int, Int) -> Double) -> Tensor {
      Tensor(
        [1, 8, 9, 3],
        (0..<8 * 9 * 3).map { i in
          // Channels differ by what their mean does not show.
          Float(level(i / 27, i / 3 % 9)) + [0.25, -0.5, 0.25][i % 3]
        })
    }
    #expect(laplacianEnergies(image { 0.5 * Double($0) - 0.25 * Double($1) })[0] < 1e-12)
    let paraboloid = laplacianEnergies(image { Double($0 * $0 + 2 * $1 * $1) / 64 })[0]
    #expect(abs(paraboloid - 36.0 / 4096) < 1e-9, "\(paraboloid)")
    // Every pixel 1 away from its four neighbours: (4 · 1)².
    let board = laplacianEnergies(image { ($0 + $1) % 2 == 0 ? 0 : 1 })[0]
    #expect(abs(board - 16) < 1e-9, "\(board)")
  }

  @Test("similarity of flat images is that of their means; an image is similar to itself")
  func similarity() {
    let found = structuralSimilarity(flat([0.5, 0.25]), flat([0.75, 0.25]))
    let c1 = 1e-4
    #expect(abs(found[0] - (2 * 0.375 + c1) / (0.25 + 0.5625 + c1)) < 1e-9, "\(found)")
    #expect(abs(found[1] - 1) < 1e-12)
    // The same at another range of values.
    let wide = structuralSimilarity(flat([2, 1]), flat([3, 1]), range: 4)
    #expect(abs(wide[0] - found[0]) < 1e-9)
  }

  @Test("areas fall into bins, the last one closed")
  func masks() {
    let areas = MaskAreas(bounds: [0, 0.25, 0.5, 1])
    #expect(
      [0, 0.2, 0.25, 0.5, 1, 1.1, -0.1].map { areas.bin(of: $0) } == [0, 0, 1, 2, 2, nil, nil])
    let means = areas.means(of: [1, 2, 4, 8], areas: [0.1, 0.7, 0.2, 1.5])
    #expect(means.map(\.count) == [2, 0, 1])
    #expect(means.map(\.mean) == [2.5, nil, 2])
    #expect(maskArea([0, 1, 255, 0, 0, 0, 0, 0]) == 0.25)
    #expect(MaskAreas().bin(of: 0.3) == 3)
  }

  @Test("crops are a function of the image's index and reach every place")
  func crops() {
    let crops = PatchCrops(size: 3, perImage: 2, seed: 7)
    // Each pixel holds its number.
    let images = Tensor([4, 5, 6, 1], (0..<120).map { Float($0) })
    let all = crops.crops(of: images, first: 10)
    #expect(all.shape == [8, 3, 3, 1])
    let alone = crops.crops(of: images.slice(2..<3), first: 12)
    #expect(Array(all.values[36..<54]) == alone.values)

    var seen: Set<[Int]> = []
    for index in 0..<400 {
      let (row, column) = crops.origin(index: index, crop: 1, height: 5, width: 6)
      seen.insert([row, column])
    }
    #expect(seen == Set((0..<3).flatMap { i in (0..<4).map { [i, $0] } }))
    let first = crops.origin(index: 10, crop: 0, height: 5, width: 6)
    #expect(all.values[0] == Float(first.row * 6 + first.column))
  }
}
