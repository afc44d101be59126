import Foundation

/// A program that did not end in time; it has been killed.
public struct SubprocessTimeout: Error, CustomStringConvertible {
  public let description: String
}

/// Runs a program to its end.
///
/// - Parameters:
///   - environment: added to this process's; later entries win.
///   - timeout: seconds, after which it is terminated, then killed.
/// - Returns: the exit status (128 + n if signal n ended it) and all output.
/// - Throws: `SubprocessTimeout`, or Foundation's error if the program cannot be started.
public func runProcess(
  _ executable: String, _ args: [String], environment: [String: String] = [:], timeout: Double
) throws -> (status: Int32, stdout: String, stderr: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: executable)
  process.arguments = args
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  let out = OutputReader()
  let errors = OutputReader()
  process.standardOutput = out.pipe
  process.standardError = errors.pipe
  process.standardInput = FileHandle.nullDevice
  let ended = DispatchSemaphore(value: 0)
  process.terminationHandler = { _ in ended.signal() }
  try withoutBlockedSignals { try process.run() }
  out.start()
  errors.start()
  if ended.wait(timeout: .now() + timeout) == .timedOut {
    process.terminate()
    if ended.wait(timeout: .now() + 5) == .timedOut { kill(process.processIdentifier, SIGKILL) }
    throw SubprocessTimeout(
      description: "\(executable) \(args.joined(separator: " ")) ran for more than \(timeout) s")
  }
  let signalled = process.terminationReason == .uncaughtSignal
  let status = signalled ? 128 + process.terminationStatus : process.terminationStatus
  return (status, out.wait(), errors.wait())
}

/// Tests run on pool threads that block all signals; a child would inherit that, be deaf to TERM
/// and USR1, and hand its deafness on.
private func withoutBlockedSignals(_ body: () throws -> Void) rethrows {
  var none = sigset_t()
  var before = sigset_t()
  sigemptyset(&none)
  pthread_sigmask(SIG_SETMASK, &none, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
  try body()
}

/// Drains a pipe on a thread of its own, so that a talkative child never blocks.
private final class OutputReader: @unchecked Sendable {
  let pipe = Pipe()
  private let done = DispatchSemaphore(value: 0)
  private var data = Data()

  func start() {
    Thread { [self] in
      data = pipe.fileHandleForReading.readDataToEndOfFile()
      done.signal()
    }.start()
  }

  func wait() -> String {
    done.wait()
    return String(decoding: data, as: UTF8.self)
  }
}
