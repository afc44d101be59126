import FlowData
import Foundation
import Worker

/// How well pictures show the maps that they were drawn after, as the judge of the shapes set sees
/// it.
struct ClassMapJudgement: Encodable {
  struct Figures: Encodable {
    let pictures: Int
    /// Share of the pixels of the given shapes whose judged class, shape and colour, is the given.
    let agreement: Double
    /// The worst picture in a hundred, in the same terms.
    let lowestPercentile: Double
    /// Pixels of shapes in the given maps.
    let shapePixels: Int
    /// Intersection over union of what is a shape, whatever its class.
    let overlap: Double
    /// Pictures that show the class of their map.
    let rightClass: Int

    init(_ found: ClassMapAgreement) {
      (pictures, shapePixels, rightClass) = (found.pictures, found.shapePixels, found.rightClass)
      (agreement, overlap) = (found.agreement, found.overlap)
      lowestPercentile = found.shares.sorted()[found.shares.count / 100]
    }
  }

  let results: Figures
  /// The pictures that the maps are of: what the judge makes of perfect results.
  let originals: Figures?
  /// The same through the first stage and back: what the best flow could reach.
  let reconstructions: Figures?

  init(_ samples: [FinishedSample], _ maps: SynthesisMaps, _ loaded: LoadedModel) throws {
    results = try Self.judge(samples.map { ($0.index, $0.image) }, maps)
    guard maps.hasPictures else {
      (originals, reconstructions) = (nil, nil)
      return
    }
    let originals = try samples.map { ($0.index, try maps.picture($0.index)!) }
    self.originals = try Self.judge(originals, maps)
    let images = loaded.firstStage.reconstructed(originals.map(\.1))
    reconstructions = try Self.judge(Array(zip(originals.map(\.0), images)), maps)
  }

  private static func judge(
    _ pictures: [(Int, ImageBuffer)], _ maps: SynthesisMaps
  ) throws -> Figures {
    let judge = ShapesJudge()
    var agreement = ClassMapAgreement()
    for (index, picture) in pictures {
      agreement.add(given: try maps.map(index), judged: judge.classMap(picture))
    }
    return Figures(agreement)
  }

  var text: String {
    let rows = [
      ("results", Optional(results)), ("originals", originals),
      ("after the first stage", reconstructions),
    ]
    return rows.compactMap { name, figures in
      figures.map {
        String(
          format: "%@: %.1f %% of the shapes' pixels have the judged class of the map, overlap "
            + "%.3f; %d of %d pictures of the right class\n",
          name, 100 * $0.agreement, $0.overlap, $0.rightClass, $0.pictures)
      }
    }.joined()
  }
}
