import CZlib

/// Why a compressed stream was given up.
enum InflateFailure: Error {
  case damaged(byte: Int)
  /// More comes out than was announced.
  case tooLong
  case tooShort(Int)
  case outOfMemory
}

/// The `count` bytes that a raw deflate stream (RFC 1951) unpacks to, no byte more or less:
/// memory is what the caller asked for, whatever the stream would grow to.
///
/// - Parameter isPrefix: whether the stream may go on behind those.
func inflated(
  _ stream: UnsafeRawBufferPointer, count: Int, isPrefix: Bool = false
) throws(InflateFailure) -> [UInt8] {
  var state = z_stream()
  let size = Int32(MemoryLayout<z_stream>.size)
  // Negative: no zlib header around the stream.
  guard inflateInit2_(&state, -MAX_WBITS, ZLIB_VERSION, size) == Z_OK else { throw .outOfMemory }
  defer { inflateEnd(&state) }
  // One byte of room beyond the end tells a stream that would go on.
  var output = [UInt8](repeating: 0, count: count + 1)
  var consumed = 0
  var written = 0
  var status = Z_OK
  output.withUnsafeMutableBufferPointer { out in
    // zlib counts in 32 bits.
    let piece = 1 << 30
    while status == Z_OK && written < out.count {
      let feed = min(piece, stream.count - consumed)
      let room = min(piece, out.count - written)
      state.next_in = stream.baseAddress.map {
        UnsafeMutableRawPointer(mutating: $0 + consumed).assumingMemoryBound(to: Bytef.self)
      }
      state.avail_in = uInt(feed)
      state.next_out = out.baseAddress! + written
      state.avail_out = uInt(room)
      status = inflate(&state, Z_NO_FLUSH)
      consumed += feed - Int(state.avail_in)
      written += room - Int(state.avail_out)
    }
  }
  if isPrefix && written >= count { return Array(output.prefix(count)) }
  guard written <= count else { throw .tooLong }
  guard status == Z_STREAM_END else { throw .damaged(byte: consumed) }
  guard written == count else { throw .tooShort(written) }
  output.removeLast()
  return output
}

/// The checksum of zip archives (ISO 3309).
func crc32(of bytes: UnsafeRawBufferPointer) -> UInt32 {
  guard let base = bytes.baseAddress else { return 0 }
  return UInt32(crc32_z(0, base.assumingMemoryBound(to: Bytef.self), bytes.count))
}
