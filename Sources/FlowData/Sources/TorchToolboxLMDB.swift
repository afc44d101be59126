import Diagnostics

/// Pictures in an LMDB as torchtoolbox's `ImageLMDB` writes them: `__len__`, keys "0", "1", …, and
/// values that are pickled pairs of a picture file and a label; `classes` where there are names.
/// LFM takes CelebA at 512² and 1024² from such.
///
/// Pickles are read by `PickleInterpreter`, which runs nothing. Databases that old versions wrote
/// with pyarrow are refused by name.
public struct TorchToolboxLMDB: ImageSource {
  public let path: String
  public let count: Int
  public let classNames: [String]?
  private let database: LMDBFile
  /// Entry of picture i.
  private let entries: [Int32]
  private let labels: [Int32]

  /// Throws `.missingInput`, `.io`, or `.badData` naming the key. Reads all labels.
  public init(_ path: String) throws {
    try self.init(path, LMDBFile(path))
  }

  init(_ path: String, _ database: LMDBFile) throws {
    self.path = path
    self.database = database
    guard let length = try Self.unpickled(database, "__len__", { _, root, _ in root })?.int,
      length > 0, length <= database.count
    else {
      throw UserError(
        .badData, path, at: "key __len__", found: "no number of pictures",
        expected: "1 to \(database.count), pickled")
    }
    count = length
    var (entries, labels) = ([Int32](), [Int32]())
    for i in 0..<length {
      guard let entry = database.find("\(i)".utf8) else {
        throw UserError(
          .badData, path, found: "no key \(i)", expected: "\(length) pictures, as __len__ says")
      }
      entries.append(Int32(entry))
      let (_, label) = try Self.pair(try database.value(entry), "\(i)", path)
      labels.append(Int32(label))
    }
    (self.entries, self.labels) = (entries, labels)
    classNames = try Self.names(database, labels: labels)
  }

  /// Whether the database is of this kind.
  static func isOne(_ database: LMDBFile) -> Bool { database.find("__len__".utf8) != nil }

  private static func names(_ database: LMDBFile, labels: [Int32]) throws -> [String]? {
    let highest = Int(labels.max() ?? 0)
    // A set without classes has one label for all.
    guard highest > 0 else { return nil }
    let names: [String]? = try unpickled(database, "classes") { heap, root, bytes in
      let items = heap.items(root, .list) ?? heap.tuple(root) ?? []
      return items.compactMap { item in
        guard case .text(let span) = item else { return nil }
        return String(decoding: bytes[span.range], as: UTF8.self)
      }
    }
    guard let names, names.count > highest else { return (0...highest).map(String.init) }
    return names
  }

  private static func unpickled<Result>(
    _ database: LMDBFile, _ key: String,
    _ body: (PickleHeap, PickleValue, UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result? {
    guard let entry = database.find(key.utf8) else { return nil }
    return try unpickle(try database.value(entry), key, database.path, body)
  }

  private static func unpickle<Result>(
    _ value: [UInt8], _ key: String, _ path: String,
    _ body: (PickleHeap, PickleValue, UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try value.withUnsafeBytes { bytes in
      var interpreter = PickleInterpreter(bytes, .numpy, limit: 1 << 20)
      do {
        let root = try interpreter.run()
        return try body(interpreter.heap, root, bytes)
      } catch let error as PickleFailure {
        throw UserError(
          .badData, path, at: "key \(key), byte \(error.byte)", found: error.found,
          expected: "a pickle", advice: "a database written with pyarrow must be written anew")
      }
    }
  }

  /// The picture's bytes and its label.
  private static func pair(
    _ value: [UInt8], _ key: String, _ path: String
  ) throws -> (Range<Int>, Int) {
    try unpickle(value, key, path) { heap, root, _ in
      let items = heap.tuple(root) ?? heap.items(root, .list) ?? []
      guard items.count == 2, case .bytes(let span) = items[0], let label = items[1].int,
        (0..<1 << 20).contains(label)
      else {
        throw UserError(
          .badData, path, at: "key \(key)", found: "another pickle",
          expected: "the bytes of a picture and a label")
      }
      return (span.range, label)
    }
  }

  public var storedBytes: Int { database.byteCount }
  public func label(_ i: Int) -> Int? { classNames == nil ? nil : Int(labels[i]) }
  public func name(_ i: Int) -> String { String(i) }

  public func contents(_ i: Int) throws -> ImageContents {
    let value = try database.value(Int(entries[i]))
    return .encoded(Array(value[try Self.pair(value, name(i), path).0]))
  }
}

extension PickleValue {
  fileprivate var int: Int? {
    if case .int(let value) = self { return value }
    return nil
  }
}
