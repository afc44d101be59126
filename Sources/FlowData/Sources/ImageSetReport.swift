import Diagnostics

/// What is in a set of pictures; two reports over parts of a set add up to one over both.
public struct ImageSetReport: Codable, Equatable, Sendable {
  public struct Size: Codable, Hashable, Sendable {
    public var width: Int
    public var height: Int
  }

  public var pictures = 0
  /// Pictures per class, by label; empty without labels.
  public var classes: [Int]
  public var sizes: [Size: Int] = [:]
  public var broken: [BrokenPicture] = []

  public init(classCount: Int) { classes = [Int](repeating: 0, count: classCount) }

  /// Counts the pictures of `range`.
  /// - Parameter decoding: read every pixel, not only the headers.
  /// Throws what is no fault of a picture.
  public init(_ source: any ImageSource, _ range: Range<Int>, decoding: Bool) throws {
    self.init(classCount: source.classCount ?? 0)
    for i in range {
      pictures += 1
      if let label = source.label(i) { classes[label] += 1 }
      do {
        let size = try decoding ? source.image(i).size : source.size(i)
        sizes[Size(width: size.width, height: size.height), default: 0] += 1
      } catch let error as UserError where error.status == .badData {
        broken.append(BrokenPicture(name: source.name(i), reason: "\(error)"))
      }
    }
  }

  public mutating func add(_ other: ImageSetReport) {
    pictures += other.pictures
    for (label, count) in other.classes.enumerated() { classes[label] += count }
    sizes.merge(other.sizes, uniquingKeysWith: +)
    broken += other.broken
  }

  /// The sizes, most frequent first; equally frequent ones by width and height.
  public var rankedSizes: [(size: Size, count: Int)] {
    sizes.map { ($0.key, $0.value) }.sorted { a, b in
      (-a.1, a.0.width, a.0.height) < (-b.1, b.0.width, b.0.height)
    }
  }
}
