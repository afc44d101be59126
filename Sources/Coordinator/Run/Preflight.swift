import Diagnostics
import FlowData
import Foundation
import RunFormat

/// What a command asks of the world before it begins, so that it ends at once and not after an
/// hour.  Every function throws `UserError`.
public enum Preflight {
  /// - Parameter what: what the file should be, "a checkpoint".
  public static func requireFile(_ path: String, _ what: String = "a file") throws {
    switch kind(of: path) {
    case nil: throw UserError(.missingInput, path, found: "no such file", expected: what)
    case .folder?: throw UserError(.missingInput, path, found: "a folder", expected: what)
    case .file?: break
    }
    guard access(path, R_OK) == 0 else {
      throw UserError(.io, path, found: "cannot be read, \(reason())", expected: what)
    }
  }

  public static func requireFolder(_ path: String, _ what: String = "a folder") throws {
    switch kind(of: path) {
    case nil: throw UserError(.missingInput, path, found: "no such folder", expected: what)
    case .file?: throw UserError(.missingInput, path, found: "a file", expected: what)
    case .folder?: break
    }
    guard access(path, R_OK | X_OK) == 0 else {
      throw UserError(.io, path, found: "cannot be read, \(reason())", expected: what)
    }
  }

  /// Makes the folder, with those above it, if it does not exist, and writes a file into it.
  public static func requireWritableFolder(_ path: String) throws {
    do {
      try Disk.local.createFolders(path)
    } catch let error as UserError {
      throw UserError(
        .io, path, found: "cannot be made, \(error.found)",
        expected: "a folder that can be written")
    }
    // Rights alone do not tell: root may write anywhere but on a read-only file system.
    let probe = "\(path)/.writable-\(getpid())"
    let descriptor = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw UserError(
        .io, path, found: "cannot be written, \(reason())",
        expected: "a folder that can be written")
    }
    close(descriptor)
    unlink(probe)
  }

  /// A folder for results: new, or there but empty.
  ///
  /// - Parameter option: the option that names it, for the message.
  public static func requireEmptyOrNew(_ path: String, option: String = "--out") throws {
    switch kind(of: path) {
    case nil: break
    case .file?:
      throw UserError(
        .usage, path, found: "\(option) names a file", expected: "a new or an empty folder")
    case .folder?:
      let count = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).count
      guard count == 0 else {
        throw UserError(
          .usage, path, found: "\(option) names a folder that holds \(count) files",
          expected: "a new or an empty folder",
          advice: "files of two runs would mix: name another folder, or empty this one")
      }
    }
    try requireWritableFolder(path)
  }

  /// Bytes that this user may still write where `path` is, or will be.
  public static func freeSpace(at path: String) throws -> Int {
    var folder = URL(fileURLWithPath: path)
    while !FileManager.default.fileExists(atPath: folder.path), folder.path != "/" {
      folder.deleteLastPathComponent()
    }
    var status = statvfs()
    guard statvfs(folder.path, &status) == 0 else {
      throw UserError(.io, path, found: "free space cannot be asked for, \(reason())")
    }
    return Int(status.f_bavail) * Int(status.f_frsize)
  }

  /// - Parameter purpose: what needs the space, "4 checkpoints of 132 MB".
  public static func requireFreeSpace(
    _ bytes: Int, at path: String, for purpose: String
  ) throws {
    let free = try freeSpace(at: path)
    guard free < bytes else { return }
    throw UserError(
      .io, path, found: "\(megabytes(free)) are free",
      expected: "\(megabytes(bytes)) for \(purpose)",
      advice: "free some space, or name a folder on another disk")
  }

  /// A warning for a person whose processor lacks the fast instructions; nil where it has them.
  /// Results do not suffer: every kernel has a plain version.
  ///
  /// - Parameter flags: of /proc/cpuinfo; nil on processors other than x86.
  public static func processorWarning(
    flags: Set<String>? = HostDescription.cpuFlags
  ) -> String? {
    guard let flags, !(flags.contains("avx2") && flags.contains("fma")) else { return nil }
    return "warning: this processor has no AVX2; everything works, several times slower"
  }

  /// A warning where more threads would run than there are cores; nil where they fit.
  public static func oversubscriptionWarning(
    ranksOnNode: Int, threads: Int, cores: Int
  ) -> String? {
    guard ranksOnNode * threads > cores else { return nil }
    return "warning: \(ranksOnNode) ranks × \(threads) threads share \(cores) cores; "
      + "expect waiting, or start fewer ranks"
      + (threads > 1 ? " or set --threads \(max(1, cores / ranksOnNode))" : "")
  }

  private enum Kind { case file, folder }

  private static func kind(of path: String) -> Kind? {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return nil }
    return isFolder.boolValue ? .folder : .file
  }

  private static func reason() -> String { String(cString: strerror(errno)) }

  private static func megabytes(_ bytes: Int) -> String {
    String(format: "%.1f MB", Double(bytes) / 1e6)
  }
}
