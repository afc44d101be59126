import Diagnostics

/// What is done about pictures that cannot be read.
public enum BrokenPolicy: String, Codable, CaseIterable, Sendable {
  /// The first one stops the run, and the message names it.
  case strict
  /// They are left out, counted and listed; the set is shorter from the start.
  case skip
}

/// A picture that cannot be read, and why.
public struct BrokenPicture: Codable, Equatable, Sendable {
  public var name: String
  public var reason: String

  public init(name: String, reason: String) {
    self.name = name
    self.reason = reason
  }
}

extension ImageSource {
  /// Decodes the pictures of `range` and says what is wrong with those that it cannot.
  /// Throws what is no fault of a picture: a disk that fails, a file that is gone.
  public func broken(in range: Range<Int>) throws -> [BrokenPicture] {
    try range.compactMap { i in
      do {
        _ = try image(i)
        return nil
      } catch let error as UserError where error.status == .badData {
        return BrokenPicture(name: name(i), reason: "\(error)")
      }
    }
  }
}

/// Some of the pictures of another source, in its order.
public struct SelectedImages: ImageSource {
  public let base: any ImageSource
  private let indices: [Int]

  /// - Parameter indices: ascending.
  public init(_ base: any ImageSource, indices: [Int]) {
    self.base = base
    self.indices = indices
  }

  /// All but the pictures of these names. Throws `.badData` for a name that the source has not.
  public init(_ base: any ImageSource, without names: some Collection<String>) throws {
    self.init(base, indices: try Self.indices(base, names, listed: false))
  }

  /// The pictures of these names alone. Throws `.badData` for a name that the source has not.
  public init(_ base: any ImageSource, named names: some Collection<String>) throws {
    self.init(base, indices: try Self.indices(base, names, listed: true))
  }

  private static func indices(
    _ base: any ImageSource, _ names: some Collection<String>, listed: Bool
  ) throws -> [Int] {
    var wanted = Set(names)
    let indices = (0..<base.count).filter { i in
      (wanted.remove(base.name(i)) != nil) == listed
    }
    if let unknown = wanted.min() {
      throw UserError(
        .badData, base.path, found: "no picture \(unknown)",
        expected: "every name of the list", advice: "the list belongs to another set, or an older")
    }
    return indices
  }

  public var path: String { base.path }
  public var count: Int { indices.count }
  public var classNames: [String]? { base.classNames }
  /// An estimate: pictures of mean size.
  public var storedBytes: Int { base.count == 0 ? 0 : base.storedBytes / base.count * count }
  public func label(_ i: Int) -> Int? { base.label(indices[i]) }
  public func name(_ i: Int) -> String { base.name(indices[i]) }
  public func place(_ i: Int) -> String { base.place(indices[i]) }
  public func contents(_ i: Int) throws -> ImageContents { try base.contents(indices[i]) }
  public func image(_ i: Int) throws -> ImageBuffer { try base.image(indices[i]) }
  public func size(_ i: Int) throws -> ImageSize { try base.size(indices[i]) }
  public var mapClasses: Int? { base.mapClasses }
  public func map(_ i: Int) throws -> LabelMap? { try base.map(indices[i]) }
}
