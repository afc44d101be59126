import Diagnostics
import Foundation

/// One change of the file system, told to an observer before it happens.
public enum DiskOperation: Equatable, Sendable {
  case createFolder(String)
  case create(String)
  case write(String, bytes: Int)
  case sync(String)
  case rename(String, to: String)
  case remove(String)
}

/// The writing side of the file system. Everything that must survive a killed process goes through
/// it, so that a test can stop the process, so to speak, before any single operation: an observer
/// that throws from some operation on leaves the disk as a kill at that moment would.
public struct Disk: Sendable {
  private let observe: @Sendable (DiskOperation) throws -> Void

  public init(observe: @escaping @Sendable (DiskOperation) throws -> Void) {
    self.observe = observe
  }

  public static let local = Disk { _ in }

  func announce(_ operation: DiskOperation) throws { try observe(operation) }

  /// Creates one folder; its parent exists.
  public func createFolder(_ path: String) throws {
    try observe(.createFolder(path))
    guard mkdir(path, 0o777) == 0 else { throw Disk.failure(path) }
  }

  /// Creates the folder and its missing parents; nothing happens where it exists.
  public func createFolders(_ path: String) throws {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    let parent = parentFolder(of: path)
    if parent != path, parent != "." { try createFolders(parent) }
    try observe(.createFolder(path))
    // Another rank may have created it in between.
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw Disk.failure(path) }
  }

  public func rename(_ path: String, to target: String) throws {
    try observe(.rename(path, to: target))
    guard Foundation.rename(path, target) == 0 else { throw Disk.failure(target) }
  }

  /// Makes created, renamed and removed names in the folder durable.
  public func syncFolder(_ path: String) throws {
    try observe(.sync(path))
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Disk.failure(path) }
    defer { close(descriptor) }
    // Some file systems know no sync of folders and say EINVAL.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw Disk.failure(path) }
  }

  /// Removes a file, or a folder with all it holds; links are removed, not followed.
  public func remove(_ path: String) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw Disk.failure(path)
    }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    if isFolder {
      for name in try Disk.names(in: path) { try remove(path + "/" + name) }
    }
    try observe(.remove(path))
    guard (isFolder ? rmdir(path) : unlink(path)) == 0 || errno == ENOENT else {
      throw Disk.failure(path)
    }
  }

  /// Puts `bytes` at `path` whole or not at all: written beside it, synced, renamed.
  @discardableResult
  public func writeAtomically(_ bytes: [UInt8], to path: String) throws -> FileRecord {
    try writeAtomically(to: path) { file in try bytes.withUnsafeBytes { try file.write($0) } }
  }

  /// Puts what `body` writes at `path` whole or not at all.
  @discardableResult
  public func writeAtomically(
    to path: String, _ body: (OutputFile) throws -> Void
  ) throws -> FileRecord {
    let draft = temporaryPath(beside: path)
    do {
      let file = try OutputFile(draft, disk: self)
      try body(file)
      let record = try file.finish()
      try rename(draft, to: path)
      try syncFolder(parentFolder(of: path))
      return record
    } catch {
      // The first error is the one to tell; a draft left behind is swept at the next start.
      try? remove(draft)
      throw error
    }
  }

  /// Names in a folder, sorted.
  static func names(in folder: String) throws -> [String] {
    guard let handle = opendir(folder) else { throw failure(folder) }
    defer { closedir(handle) }
    var names: [String] = []
    while let item = readdir(handle) {
      let name = withUnsafePointer(to: &item.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The error for what `errno` says about `path`.
  static func failure(_ path: String) -> UserError {
    let code = errno
    var advice: String?
    if code == EACCES || code == EPERM || code == EROFS {
      advice = "choose a folder that this user may write to"
    }
    return UserError(
      code == ENOENT ? .missingInput : .io, path, found: String(cString: strerror(code)),
      advice: advice)
  }
}

/// A name that no reader takes for finished work, unique to this process.
func temporaryPath(beside path: String) -> String {
  let name = lastName(of: path)
  return parentFolder(of: path) + "/.tmp-\(name)-\(getpid())"
}

/// A folder that appears whole or not at all: files are written into `draft`, which takes its
/// final name in `commit`.
public struct AtomicFolder: Sendable {
  public let path: String
  /// Where the files go until `commit`.
  public let draft: String
  private let disk: Disk

  /// Creates the draft beside `path`; throws `.io` if something exists at `path`.
  public init(_ path: String, disk: Disk = .local) throws {
    guard !FileManager.default.fileExists(atPath: path) else {
      throw UserError(.io, path, found: "exists already", expected: "a new folder")
    }
    self.path = path
    self.disk = disk
    draft = temporaryPath(beside: path)
    try disk.createFolders(parentFolder(of: path))
    try disk.remove(draft)
    try disk.createFolder(draft)
  }

  /// The files have been synced as they were finished; this makes their names durable.
  public func commit() throws {
    try disk.syncFolder(draft)
    try disk.rename(draft, to: path)
    try disk.syncFolder(parentFolder(of: path))
  }

  public func discard() throws { try disk.remove(draft) }
}
