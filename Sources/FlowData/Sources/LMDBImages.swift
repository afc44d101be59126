import Diagnostics

/// Pictures in an LMDB database: as LFM keeps CelebA-HQ and FFHQ (keys "0", "1", …; values are
/// pictures or the RGB bytes of squares), and as LSUN comes (hexadecimal keys, values are WebP).
///
/// Keys that are exactly the decimal numbers from 0 are read in the order of the numbers, others in
/// that of their bytes. No labels.
public struct LMDBImages: ImageSource {
  public let path: String
  public let count: Int
  private let database: LMDBFile
  /// Entry of picture i; nil where they are in order.
  private let order: [Int32]?
  /// Values are the RGB bytes of square pictures.
  private let isRaw: Bool

  /// Throws what `LMDBFile` throws, and `.badData` for an empty database.
  public init(_ path: String) throws { try self.init(path, LMDBFile(path)) }

  init(_ path: String, _ database: LMDBFile) throws {
    self.path = path
    self.database = database
    count = database.count
    guard database.count > 0 else {
      throw UserError(.badData, path, found: "no entries", expected: "pictures")
    }
    order = Self.numericOrder(database)
    isRaw = try Self.holdsRawSquares(database)
  }

  /// A picture file may by chance have 3·s² bytes, but not a whole row of them.
  private static func holdsRawSquares(_ database: LMDBFile) throws -> Bool {
    let first = 0..<min(database.count, 64)
    guard first.allSatisfy({ side(ofBytes: database.valueCount($0)) != nil }) else { return false }
    return try first.count > 1 || ImageFormat(database.value(0)) == nil
  }

  public var classNames: [String]? { nil }
  public func label(_ i: Int) -> Int? { nil }
  public var storedBytes: Int { database.byteCount }

  /// The key; in hexadecimal if it is no text.
  public func name(_ i: Int) -> String {
    let key = database.key(entry(i))
    if let text = String(validating: key, as: UTF8.self) { return text }
    return key.map { digits($0) }.joined()
  }

  public func contents(_ i: Int) throws -> ImageContents {
    let value = try database.value(entry(i))
    guard isRaw else { return .encoded(value) }
    guard let side = Self.side(ofBytes: value.count) else {
      throw UserError(
        .badData, place(i), found: "\(value.count) bytes", expected: "3·s², the RGB of a square")
    }
    return .pixels(ImageBuffer(width: side, height: side, pixels: value))
  }

  private func digits(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  private func entry(_ i: Int) -> Int { order.map { Int($0[i]) } ?? i }

  /// s, where `bytes` is 3·s².
  private static func side(ofBytes bytes: Int) -> Int? {
    let side = Int((Double(bytes) / 3).squareRoot().rounded())
    return side > 0 && side <= maximumImageSide && 3 * side * side == bytes ? side : nil
  }

  private static func numericOrder(_ database: LMDBFile) -> [Int32]? {
    guard database.count < 1 << 31 else { return nil }
    var order = [Int32](repeating: -1, count: database.count)
    for entry in 0..<database.count {
      let text = String(decoding: database.key(entry), as: UTF8.self)
      guard let number = Int(text), String(number) == text, order.indices.contains(number) else {
        return nil
      }
      order[number] = Int32(entry)
    }
    return order
  }
}
