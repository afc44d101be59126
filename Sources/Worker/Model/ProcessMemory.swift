import Diagnostics
import Foundation

/// Bytes of this process that lie in memory now.
public func residentBytes() throws -> Int { try statusBytes("VmRSS") }

/// The most bytes of this process that lay in memory at once.
public func peakResidentBytes() throws -> Int { try statusBytes("VmHWM") }

private func statusBytes(_ field: String) throws -> Int {
  let path = "/proc/self/status"
  let text = try? String(contentsOfFile: path, encoding: .utf8)
  let line = text?.split(separator: "\n").first { $0.hasPrefix("\(field):") }
  guard let kilobytes = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
    .flatMap({ Int($0) })
  else {
    throw UserError(
      .io, path, at: field, found: "nothing", expected: "the size of this process in kB",
      advice: "a limit on memory needs Linux's /proc")
  }
  return kilobytes * 1024
}
