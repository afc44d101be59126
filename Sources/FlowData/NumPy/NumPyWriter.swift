import Diagnostics

/// Writes numpy's files: `.npz`, a stored zip of `.npy` members (format version 1.0).
public enum NumPyWriter {
  /// One array, row-major and little-endian.
  public struct Array {
    let name: String
    let dims: [Int]
    let descriptor: String
    let bytes: [UInt8]

    public init(_ name: String, _ dims: [Int], doubles: [Double]) {
      self.init(name, dims, "<f8", doubles)
    }

    public init(_ name: String, _ dims: [Int], floats: [Float]) {
      self.init(name, dims, "<f4", floats)
    }

    public init(_ name: String, _ dims: [Int], bytes: [UInt8]) {
      self.init(name, dims, "|u1", bytes)
    }

    public init(_ name: String, _ dims: [Int], ints: [Int64]) {
      self.init(name, dims, "<i8", ints)
    }

    private init<Element: BitwiseCopyable>(
      _ name: String, _ dims: [Int], _ descriptor: String, _ values: [Element]
    ) {
      precondition(dims.reduce(1, *) == values.count, "\(values.count) elements for \(dims)")
      (self.name, self.dims, self.descriptor) = (name, dims, descriptor)
      bytes = values.withUnsafeBytes { Swift.Array($0) }
    }

    /// The member: header and data.
    var file: [UInt8] { Self.header(descriptor: descriptor, dims: dims) + bytes }

    /// Magic and a literal, padded so that what follows begins at a multiple of 64.
    static func header(descriptor: String, dims: [Int]) -> [UInt8] {
      let shape = dims.map { "\($0)," }.joined(separator: " ")
      var header =
        "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': (\(shape)), }"
      let length = 10 + header.utf8.count + 1
      header += String(repeating: " ", count: (64 - length % 64) % 64) + "\n"
      let count = UInt16(header.utf8.count)
      return [0x93] + Swift.Array("NUMPY".utf8) + [1, 0, UInt8(count & 0xFF), UInt8(count >> 8)]
        + Swift.Array(header.utf8)
    }
  }

  /// Puts the archive at `path` whole or not at all.
  public static func write(_ arrays: [Array], toArchive path: String) throws {
    try Disk.local.writeAtomically(to: path) { file in
      let zip = ZipWriter(file)
      for array in arrays {
        try array.file.withUnsafeBytes { try zip.add(array.name + ".npy", $0) }
      }
      try zip.finish()
    }
  }
}
