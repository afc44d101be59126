import Diagnostics
import Foundation

/// The folder of one run: the interface between a run, its successor after a restart, the daemon
/// and a person.
///
///     config.yaml        resolved configuration       events.jsonl      what happened, a line each
///     overrides.txt      a.b=c, a line each           metrics.csv       figures by step
///     environment.json   where it ran, and with what  samples/          pictures
///     checkpoints/       step-00000020/ …             events.out.tfevents.*
public struct RunFolder: Sendable {
  public let path: String

  /// Names the folder; touches nothing.
  public init(path: String) { self.path = path }

  public var configPath: String { "\(path)/config.yaml" }
  public var overridesPath: String { "\(path)/overrides.txt" }
  public var environmentPath: String { "\(path)/environment.json" }
  public var eventsPath: String { "\(path)/events.jsonl" }
  public var metricsPath: String { "\(path)/metrics.csv" }
  public var samplesPath: String { "\(path)/samples" }
  public var checkpointsPath: String { "\(path)/checkpoints" }

  /// Whether a run has begun here.
  public var holdsRun: Bool { FileManager.default.fileExists(atPath: configPath) }

  /// Makes the folder and those in it, or accepts them as they are, and locks the run.
  ///
  /// Throws `.io` where the folder cannot be written or another process holds it.
  public func open() throws -> RunLock {
    for folder in [path, samplesPath, checkpointsPath] {
      guard RunFolder.make(folder) else {
        throw systemError(folder, "cannot be made", advice: "name another run folder with --run")
      }
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw systemError(path, "cannot be written", advice: "name another run folder with --run")
    }
    return try RunLock(folder: path)
  }

  /// Makes a folder and its missing parents; false leaves the reason in `errno`.
  private static func make(_ folder: String) -> Bool {
    if mkdir(folder, 0o777) == 0 { return true }
    if errno == ENOENT {
      let parent = parentFolder(of: folder)
      guard parent != folder, parent != ".", make(parent) else { return false }
      return mkdir(folder, 0o777) == 0 || errno == EEXIST
    }
    guard errno == EEXIST else { return false }
    var status = stat()
    guard stat(folder, &status) == 0 else { return false }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      errno = ENOTDIR
      return false
    }
    return true
  }

  public func writeConfig(_ yaml: String) throws {
    try replaceFile(configPath, with: Array(yaml.utf8))
  }

  public func writeOverrides(_ overrides: [String]) throws {
    try replaceFile(overridesPath, with: Array(overrides.map { $0 + "\n" }.joined().utf8))
  }

  public func writeEnvironment(_ environment: RunEnvironment) throws {
    try replaceFile(environmentPath, with: try environment.json())
  }

  public func readEnvironment() throws -> RunEnvironment {
    guard let data = FileManager.default.contents(atPath: environmentPath) else {
      throw systemError(environmentPath, "cannot be read")
    }
    return try RunEnvironment(json: data, path: environmentPath)
  }
}

/// The right to write into a run folder, held as long as this object lives and its process with
/// it: the kernel releases the lock of a process that dies.
public final class RunLock: Sendable {
  public let path: String
  private let descriptor: Int32

  init(folder: String) throws {
    path = "\(folder)/.lock"
    descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw systemError(path, "cannot be opened", advice: "name another run folder with --run")
    }
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      let error =
        errno == EWOULDBLOCK
        ? RunLock.heldError(folder, RunLock.holder(descriptor))
        : systemError(path, "cannot be locked")
      close(descriptor)
      throw error
    }
    let text = "\(HostDescription.name) \(getpid())\n"
    guard ftruncate(descriptor, 0) == 0,
      pwrite(descriptor, text, text.utf8.count, 0) == text.utf8.count
    else {
      let error = systemError(path, "cannot be written")
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  private static func holder(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    let words = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
      .split(whereSeparator: \.isWhitespace)
    return words.count == 2 ? "process \(words[1]) on \(words[0])" : "another process"
  }

  private static func heldError(_ folder: String, _ holder: String) -> UserError {
    UserError(
      .io, folder, found: "\(holder) writes into this run folder",
      expected: "a folder of one run at a time",
      advice: "wait for it, stop it, or name another folder with --run; the ranks of one run must "
        + "be started together (mpirun -np N …, or srun --mpi=pmix …), "
        + "or each takes itself for the only one")
  }
}
