import Diagnostics
import FlowData

/// What becomes of one picture.
public struct UpscalingTask: Equatable, Sendable {
  public let size: ImageSize
  /// The size at which it goes through the networks.
  public let padded: ImageSize
  /// Stages that it goes through.
  public let stages: Int
  public let result: ImageSize
}

/// Neighbouring pictures that go through the networks together.
public struct UpscalingItem: Equatable, Sendable {
  public let pictures: Range<Int>
  /// Samples of the batch: pictures, filled up. It depends on the size alone, so that a picture has
  /// the same bits in any company.
  public let batch: Int
}

/// All pictures of a command, and which of them go together.
public struct UpscalingPlan: Sendable {
  public let tasks: [UpscalingTask]
  public let items: [UpscalingItem]

  /// Latent pixels of a batch at its largest, and samples of it.
  private static let (mostPixels, mostSamples) = (4096, 8)

  /// - Parameters:
  ///   - sizes: of the pictures.
  ///   - target: of the results' short sides; nil: after all stages, as large as it comes.
  ///   - place: how messages call a picture.
  /// - Throws: `UserError` naming a picture that cannot become so large, or is so already.
  public init(
    _ sizes: [ImageSize], _ extents: UpscalingExtents, target: Int?, place: (Int) -> String
  ) throws {
    tasks = try sizes.enumerated().map { i, size in
      try Self.task(size, extents, target, place(i))
    }
    var items: [UpscalingItem] = []
    var first = 0
    while first < sizes.count {
      let task = tasks[first]
      let batch = Self.batch(task, extents)
      var end = first + 1
      while end < sizes.count, end < first + batch, tasks[end].padded == task.padded,
        tasks[end].stages == task.stages
      { end += 1 }
      items.append(UpscalingItem(pictures: first..<end, batch: batch))
      first = end
    }
    self.items = items
  }

  private static func task(
    _ size: ImageSize, _ extents: UpscalingExtents, _ target: Int?, _ place: String
  ) throws -> UpscalingTask {
    func after(_ count: Int) -> ImageSize { size.enlarged(extents.enlargement(stages: count)) }
    let all = extents.stages.count
    var (count, result) = (all, after(all))
    if let target {
      guard size.shortSide < target else {
        throw UserError(
          .usage, place, found: "\(size) pixels, a short side of \(size.shortSide)",
          expected: "less than --to \(target)")
      }
      guard let enough = (1...all).first(where: { after($0).shortSide >= target }) else {
        throw UserError(
          .usage, place, found: "\(size) pixels, which \(make(all)) \(result)",
          expected: "a short side of \(target), that of --to",
          advice: "ask for less with --to, or give a cascade of more stages")
      }
      (count, result) = (enough, after(enough))
      result = ImageSize(
        width: result.width * target / result.shortSide,
        height: result.height * target / result.shortSide)
    }
    let largest = after(count)
    guard max(largest.width, largest.height) <= maximumImageSide else {
      throw UserError(
        .usage, place, found: "\(size) pixels, which \(make(count)) \(largest)",
        expected: "sides of at most \(maximumImageSide)")
    }
    return UpscalingTask(
      size: size, padded: try extents.padded(size, stages: count, place: place), stages: count,
      result: result)
  }

  private static func make(_ n: Int) -> String { n == 1 ? "1 stage makes" : "\(n) stages make" }

  private static func batch(_ task: UpscalingTask, _ extents: UpscalingExtents) -> Int {
    let padded = task.padded.enlarged(extents.enlargement(stages: task.stages))
    let pixels = padded.width * padded.height / (extents.factor * extents.factor)
    return max(1, min(mostSamples, mostPixels / pixels))
  }
}
