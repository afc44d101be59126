import Diagnostics
import Foundation

/// Results go to standard output, all else to standard error.
public enum StandardOutput {
  /// Writes `text` as it is.  A closed pipe (`… | head`) is no error: the reader has had enough.
  ///
  /// Throws `.io` where output is lost for another reason, such as a full disk.
  public static func write(_ text: String, to descriptor: Int32 = 1) throws {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EPIPE { return }
      guard count >= 0 else {
        let reason = String(cString: strerror(errno))
        throw UserError(.io, "standard output", found: "cannot be written, \(reason)")
      }
      bytes = bytes.dropFirst(count)
    }
  }
}

/// Lines for a person, on standard error.
public enum StandardError {
  /// Writes `text` and a newline; what cannot be written is lost.
  public static func say(_ text: String) {
    try? StandardOutput.write(text + "\n", to: 2)
  }
}
