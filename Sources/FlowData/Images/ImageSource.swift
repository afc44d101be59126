/// Numbered pictures, with class labels or without.
public protocol ImageSource: Sendable {
  var count: Int { get }
  /// Names by label; nil where pictures carry no labels.
  var classNames: [String]? { get }
  /// Throws the `UserError` that names what is wrong with the picture's file.
  func image(_ i: Int) throws -> ImageBuffer
  func label(_ i: Int) -> Int?
  /// A name that is unique in the source: for files the path below its folder.
  func name(_ i: Int) -> String
  /// SHA-256 of everything that `image`, `label` and `name` depend on, 64 hexadecimal digits.
  func fingerprint() throws -> String
}

extension ImageSource {
  public var classCount: Int? { classNames?.count }
}
