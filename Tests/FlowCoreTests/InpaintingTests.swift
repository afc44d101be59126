import FlowCore
import FlowTensor
import Testing

@Suite("what inpainting is told", .serialized)
struct InpaintingTests {
  @Test("a thumbnail holds the means over its cells, of the picture and of the mask")
  func thumbnail() {
    // Two pictures of 4 × 4 pixels with levels of their own.
    let image = Tensor([2, 4, 4, 1], (0..<32).map(Float.init))
    let mask = Tensor([2, 4, 4, 1], (0..<32).map { $0 % 4 == 3 ? 1 : -1 })
    let large = inpaintingThumbnail(maskedImage: image, mask: mask, factor: 4, cells: 2)
    #expect(large.shape == [2, 1, 1, 8])
    #expect(
      large.values == [
        2.5, 4.5, 10.5, 12.5, -1, 0, -1, 0, 18.5, 20.5, 26.5, 28.5, -1, 0, -1, 0,
      ])
    let small = inpaintingThumbnail(maskedImage: image, mask: mask, factor: 2, cells: 1)
    #expect(small.shape == [2, 2, 2, 2])
    #expect(small.values.prefix(8) == [2.5, -1, 4.5, 0, 10.5, -1, 12.5, 0])
    // A cell for every pixel: nothing is lost.
    let all = inpaintingThumbnail(maskedImage: image, mask: mask, factor: 2, cells: 2)
    #expect(all.values.prefix(8) == [0, 1, 4, 5, -1, -1, -1, -1])
  }
}
