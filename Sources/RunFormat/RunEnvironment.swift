import Diagnostics
import Foundation

/// environment.json: what a run's bits may depend on besides its configuration.
public struct RunEnvironment: Codable, Equatable, Sendable {
  public var host: String
  public var ranks: Int
  public var threadsPerRank: Int
  public var cpu: String
  /// Cores that the process may use.
  public var cores: Int
  /// Name of the table by which a library is chosen for each shape.
  public var kernelTable: String
  /// Program and libraries: "latentflow": "0.1.0", "openblas": "0.3.21" …
  public var versions: [String: String]
  /// Fingerprint of the resolved configuration.
  public var configFingerprint: String

  public init(
    ranks: Int, threadsPerRank: Int, kernelTable: String, versions: [String: String],
    configFingerprint: String
  ) {
    host = HostDescription.name
    self.ranks = ranks
    self.threadsPerRank = threadsPerRank
    cpu = HostDescription.cpu
    cores = HostDescription.usableCores
    self.kernelTable = kernelTable
    self.versions = versions
    self.configFingerprint = configFingerprint
  }

  func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try Array(encoder.encode(self)) + Array("\n".utf8)
  }

  init(json: Data, path: String) throws {
    do {
      self = try JSONDecoder().decode(RunEnvironment.self, from: json)
    } catch {
      throw UserError(
        .badData, path, found: "not the environment of a run, \(error.localizedDescription)")
    }
  }
}

/// The machine, as far as Linux tells.
public enum HostDescription {
  public static var name: String {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "localhost" }
    return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Model name of the first processor.
  public static var cpu: String { field("model name", of: "/proc/cpuinfo") ?? "unknown" }

  /// Instruction set flags of the first processor; nil where /proc/cpuinfo lists none (not x86).
  public static var cpuFlags: Set<String>? {
    field("flags", of: "/proc/cpuinfo").map { Set($0.split(separator: " ").map(String.init)) }
  }

  /// Cores that this process may use: its affinity, and the quota of its control group.
  public static var usableCores: Int {
    var cores = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    if let mask = field("Cpus_allowed", of: "/proc/self/status") {
      // Hexadecimal words, one bit a core.
      cores = mask.compactMap(\.hexDigitValue).reduce(0) { $0 + $1.nonzeroBitCount }
    }
    let quota = readText("/sys/fs/cgroup/cpu.max")?.split(whereSeparator: \.isWhitespace)
    if let quota, quota.count == 2, let time = Double(quota[0]), let period = Double(quota[1]) {
      cores = min(cores, Int((time / period).rounded(.up)))
    }
    return max(1, cores)
  }

  /// First value of the line `name : value`.
  private static func field(_ name: String, of path: String) -> String? {
    let line = readText(path)?.split(separator: "\n").first { line in
      line.hasPrefix(name) && line.dropFirst(name.count).first { !$0.isWhitespace } == ":"
    }
    guard let line, let colon = line.firstIndex(of: ":") else { return nil }
    return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
  }

  private static func readText(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }
}
