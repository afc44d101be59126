import FlowData
import Foundation
import Testing

@Suite("Shapes set") struct ShapesDatasetTests {
  @Test func dump() throws {
    let set = ShapesDataset(size: 64, seed: 1)
    let clock = ContinuousClock()
    var imgs: [ImageBuffer] = []
    let t = clock.measure { imgs = (0..<1000).map { set.image($0) } }
    print("draw 1000:", t)
    try ImageGrid(columns: 16).compose(Array(imgs[..<96])).writePNG(to: "/tmp/lf/shapes.png")
    let palette = [SIMD3<UInt8>(0, 0, 0)] + (1...16).map { SIMD3<UInt8>(UInt8($0 * 15), 255 - UInt8($0 * 15), 128) }
    try set.draw(3).mask.writePNG(to: "/tmp/lf/mask.png", palette: palette)
  }
}
