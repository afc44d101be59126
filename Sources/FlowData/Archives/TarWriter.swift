/// A tar file (ustar) that is being written: the same bytes for the same members, for owner, mode
/// and time are constants.
public struct TarWriter {
  /// What a ustar header can say of a size: 11 octal digits.
  static let largestMember = (1 << 33) - 1

  private let file: OutputFile

  public init(_ file: OutputFile) { self.file = file }

  /// - Parameter name: a relative path of at most 100 bytes.
  public func add(_ name: String, _ bytes: [UInt8]) throws {
    precondition(
      relativeName(name) == name && name.utf8.count <= 100 && bytes.count <= Self.largestMember,
      "the member \(name) of \(bytes.count) bytes")
    try write(Self.header(name, size: bytes.count))
    try write(bytes)
    try write([UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512))
  }

  /// The end mark: two empty blocks.
  public func finish() throws { try write([UInt8](repeating: 0, count: 1024)) }

  private func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try file.write($0) } }

  private static func header(_ name: String, size: Int) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ at: Int, _ text: String) {
      header.replaceSubrange(at..<at + text.utf8.count, with: text.utf8)
    }
    func octal(_ value: Int, _ width: Int) -> String {
      let text = String(value, radix: 8)
      return String(repeating: "0", count: width - text.count) + text
    }
    put(0, name)
    put(100, octal(0o644, 7))
    put(108, octal(0, 7))
    put(116, octal(0, 7))
    put(124, octal(size, 11))
    put(136, octal(0, 11))
    put(148, "        ")
    put(156, "0")
    put(257, "ustar")
    put(263, "00")
    let sum = header.reduce(0) { $0 + Int($1) }
    put(148, octal(sum, 6) + "\0 ")
    return header
  }
}
