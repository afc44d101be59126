import Diagnostics

extension NumPyWriter {
  /// What `numpy.save` makes of a dictionary of arrays, the form of LFM's statistics: an object
  /// array without extents whose one element is the dictionary, pickled by protocol 3. Read by
  /// `numpy.load(path, allow_pickle=True).item()` of any numpy since 1.7.
  public static func write(dictionary arrays: [Array], toFile path: String) throws {
    var pickle = NumPyPickle()
    pickle.objectArray { $0.dictionary(arrays) }
    let header = Array.header(descriptor: "|O", dims: [])
    try Disk.local.writeAtomically(header + pickle.finished, to: path)
  }
}

/// Those opcodes of Python's pickle, protocol 3, that a dictionary of numpy arrays needs.
private struct NumPyPickle {
  private var bytes: [UInt8] = [0x80, 3]  // PROTO 3

  var finished: [UInt8] { bytes + [UInt8(ascii: ".")] }

  private mutating func op(_ code: Character) { bytes.append(code.asciiValue!) }

  private mutating func global(_ module: String, _ name: String) {
    bytes += "c\(module)\n\(name)\n".utf8
  }

  private mutating func int(_ value: Int32) {
    op("J")
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }

  private mutating func text(_ value: String) {
    op("X")
    withUnsafeBytes(of: UInt32(value.utf8.count).littleEndian) { bytes += $0 }
    bytes += value.utf8
  }

  private mutating func data(_ value: [UInt8]) {
    op("B")
    withUnsafeBytes(of: UInt32(value.count).littleEndian) { bytes += $0 }
    bytes += value
  }

  /// `_reconstruct(ndarray, (0,), b'b')`, whose state follows.
  private mutating func emptyArray() {
    global("numpy.core.multiarray", "_reconstruct")
    global("numpy", "ndarray")
    int(0)
    bytes.append(0x85)  // a tuple of 1
    data([UInt8(ascii: "b")])
    bytes += [0x87, UInt8(ascii: "R")]  // a tuple of 3, call
  }

  /// `dtype(name, False, True)` with its state: version, byte order, three fields that only records
  /// have, element size and alignment (−1: the type's own), flags.
  private mutating func type(_ name: String, order: String, size: Int32, flags: Int32) {
    global("numpy", "dtype")
    text(name)
    bytes += [0x89, 0x88, 0x87, UInt8(ascii: "R")]
    op("(")
    int(3)
    text(order)
    bytes += "NNN".utf8
    int(size)
    int(size)
    int(flags)
    bytes += "tb".utf8
  }

  /// State of an array: version, extents, type, not Fortran order, contents.
  private mutating func state(
    _ dims: [Int], type: (inout Self) -> Void, contents: (inout Self) -> Void
  ) {
    op("(")
    int(1)
    op("(")
    for extent in dims { int(Int32(extent)) }
    op("t")
    type(&self)
    bytes.append(0x89)
    contents(&self)
    bytes += "tb".utf8
  }

  /// An object array of one element and no extents.
  mutating func objectArray(_ element: (inout Self) -> Void) {
    emptyArray()
    state([], type: { $0.type("O8", order: "|", size: -1, flags: 63) }) { pickle in
      pickle.op("]")
      element(&pickle)
      pickle.op("a")
    }
  }

  mutating func dictionary(_ arrays: [NumPyWriter.Array]) {
    bytes += "}(".utf8
    for array in arrays {
      text(array.name)
      emptyArray()
      state(
        array.dims,
        type: {
          $0.type(
            String(array.descriptor.dropFirst()), order: String(array.descriptor.prefix(1)),
            size: -1, flags: 0)
        },
        contents: { $0.data(array.bytes) })
    }
    op("u")
  }
}
