import CCrypto
import Diagnostics
import Foundation

/// SHA-256 (FIPS 180-4) over data that arrives in pieces; one hash per hasher.
public final class SHA256Hasher {
  private let context: OpaquePointer

  public init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      preconditionFailure("libcrypto offers no SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  public func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    let accepted = EVP_DigestUpdate(context, base, bytes.count)
    precondition(accepted == 1, "SHA-256 takes no data after its end")
  }

  public func update(_ text: String) {
    var text = text
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  /// The 64 lower-case hexadecimal digits of the hash; the hasher is then used up.
  public func finalizeHex() -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    let finished = EVP_DigestFinal_ex(context, &digest, nil)
    precondition(finished == 1, "a SHA-256 hash is finished once")
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
      as: UTF8.self)
  }
}

/// SHA-256 of `bytes`, 64 lower-case hexadecimal digits.
public func sha256Hex(of bytes: UnsafeRawBufferPointer) -> String {
  let hasher = SHA256Hasher()
  hasher.update(bytes)
  return hasher.finalizeHex()
}

/// SHA-256 of the contents of the file at `path`, read in pieces of 1 MiB.
/// Throws `.missingInput` if it does not exist, `.io` if it cannot be read.
public func sha256Hex(ofFile path: String) throws -> String {
  guard let file = fopen(path, "rb") else {
    throw UserError(
      errno == ENOENT ? .missingInput : .io, path, found: String(cString: strerror(errno)),
      expected: "a readable file")
  }
  defer { fclose(file) }
  let hasher = SHA256Hasher()
  let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
  defer { piece.deallocate() }
  while true {
    let count = fread(piece.baseAddress, 1, piece.count, file)
    hasher.update(UnsafeRawBufferPointer(rebasing: piece[..<count]))
    if count < piece.count { break }
  }
  guard ferror(file) == 0 else {
    throw UserError(.io, path, found: String(cString: strerror(errno)), expected: "a readable file")
  }
  return hasher.finalizeHex()
}
