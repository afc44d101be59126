import FlowData
import FlowModels
import FlowTensor
import Testing
import Worker

/// What samples are given beside noise, on pixels: the numbers that training shows the network.
@Suite("givens of samples", .serialized)
struct GivensTests {
  private static let set = ShapesDataset(size: 32, seed: 3, count: 5)
  private static let scale: Float = 0.5

  private func values(_ image: ImageBuffer) -> [Float] {
    image.pixels.map { Float($0) / 127.5 - 1 }
  }

  @Test(
    "a picture with a black hole and its mask: as a latent, scaled, or as they are",
    arguments: [(HoleContext.latent, scale), (.thumbnail(cells: 1), 1)])
  func inpainting(_ seen: HoleContext, _ scale: Float) throws {
    let mask = HoleMask(width: 32, height: 32, levels: (0..<1024).map { $0 % 32 < 9 ? 0 : 255 })
    let givens = InpaintingGivens(
      .identity, count: 5, latentShape: [32, 32, 3], scale: Self.scale, context: seen
    ) { MaskedPicture(Self.set.image($0), mask) }
    // Two pictures, and what an item is filled up with.
    let context = try #require(try givens.givens(3..<7).context)
    #expect(context.shape == [4, 32, 32, 4])
    for (k, index) in [3, 4, 4, 4].enumerated() {
      let picture = values(Self.set.image(index))
      for pixel in 0..<1024 {
        let place = 4 * (1024 * k + pixel)
        let isHole = pixel % 32 < 9
        #expect(context.base[place + 3] == (isHole ? 1 : -1))
        for c in 0..<3 {
          let expected = scale * (isHole ? -1 : picture[3 * pixel + c])
          #expect(abs(context.base[place + c] - expected) < 1e-6)
        }
      }
    }
  }

  @Test("the shares of the classes in the map of each sample; what is unlabelled has none")
  func semantic() throws {
    let rescaler = SpatialRescaler.Configuration(stages: 1, inChannels: 3, outChannels: 2)
    let maps = [
      LabelMap(width: 4, height: 2, labels: [0, 0, 1, 255, 0, 2, 1, 255]),
      LabelMap(width: 4, height: 2, labels: [1, 1, 2, 2, 1, 1, 2, 2]),
    ]
    let givens = SemanticGivens(rescaler, count: 2, latentShape: [1, 2, 3]) { maps[$0] }
    let shares = try #require(try givens.givens(0..<3).classShares)
    #expect(shares.shape == [3, 1, 2, 3])
    let second: [Float] = [0, 1, 0, 0, 0, 1]
    #expect(shares.values == [0.75, 0, 0.25, 0, 0.5, 0] + second + second)
  }

  @Test("a coupling's codec scales latents, and takes the scale off before it decodes")
  func codec() throws {
    let codec = FirstStage.identity.codec(scale: Self.scale)
    let x = Tensor([1, 1, 2, 3], [1, -0.5, 0.25, 0, 0.75, -1])
    let latent = try codec.encode(x)
    #expect(latent.values == x.values.map { Self.scale * $0 })
    #expect(try codec.decode(latent).values == x.values)
  }

  @Test("the scaled latent of the picture made small")
  func small() throws {
    let pairs = try SmallImages(
      try openImageSource("shapes:5@32#3"), lowSize: 16, .identity, scale: Self.scale, count: 4)
    #expect(pairs.count == 4 && pairs.latentShape == [32, 32, 3])
    let low = try #require(try pairs.givens(2..<5).low)
    #expect(low.latent.shape == [3, 16, 16, 3] && low.images == nil)
    for (k, index) in [2, 3, 3].enumerated() {
      let small = Self.set.image(index).resized(width: 16, height: 16, .bicubic)
      let found = low.latent.slice(k..<k + 1).values
      for (a, b) in zip(found, values(small)) { #expect(abs(a - Self.scale * b) < 1e-6) }
    }
  }
}
