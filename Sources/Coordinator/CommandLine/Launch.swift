import ArgumentParser
import Diagnostics
import Foundation

/// Runs a command line and turns whatever comes of it into one message and one exit status.
public enum Launch {
  /// Whether this process speaks for all ranks, by what the launcher put into the environment:
  /// errors may come before MPI starts, or with MPI never started.
  public static var isSpeaker: Bool {
    rank(in: ProcessInfo.processInfo.environment) == 0
  }

  /// The rank that Open MPI, PMIx or PMI give; 0 where none does.
  public static func rank(in environment: [String: String]) -> Int {
    for name in ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"] {
      if let rank = environment[name].flatMap(Int.init) { return rank }
    }
    return 0
  }

  /// Parses `arguments`, runs the command, reports, and returns the exit status.
  ///
  /// - Parameters:
  ///   - isSpeaker: whether this rank prints messages.
  ///   - atEnd: called once with the status before it is returned, whatever happened; a command
  ///     that started MPI ends it here.
  public static func run(
    _ root: any ParsableCommand.Type, _ arguments: [String],
    isSpeaker: () -> Bool = { Launch.isSpeaker }, atEnd: (Int32) -> Void = { _ in }
  ) -> Int32 {
    let status: Int32
    do {
      try SignalFlags.install()
      var command = try root.parseAsRoot(arguments)
      try command.run()
      status = ExitStatus.success.rawValue
    } catch {
      let report = Report(error, root)
      if isSpeaker() {
        if report.isResult {
          try? StandardOutput.write(report.text)
        } else {
          try? StandardOutput.write(report.text, to: 2)
        }
      }
      status = report.status
    }
    atEnd(status)
    return status
  }

  /// What a person reads at the end of a command, and its status.
  public struct Report: Sendable, Equatable {
    public var text: String
    public var status: Int32
    /// Help and version were asked for: they go to standard output.
    public var isResult = false

    public init(_ error: any Error, _ root: any ParsableCommand.Type) {
      if let error = error as? UserError {
        status = error.status.rawValue
        text = "error: \(error)  (exit \(status))\n"
        return
      }
      // Asked for by a command, without a message of its own.
      if let code = error as? ExitCode {
        (text, status) = ("", code.rawValue)
        return
      }
      let code = root.exitCode(for: error)
      status = code.rawValue
      let message = root.fullMessage(for: error)
      if code == .success {
        text = message.isEmpty ? "" : message + "\n"
        isResult = true
      } else if code == .validationFailure {
        status = ExitStatus.usage.rawValue
        text = Report.usage(message)
      } else {
        status = ExitStatus.internal.rawValue
        text = "error: \(error)  (exit \(status))\n"
      }
    }

    /// `Error: what\nUsage: …` with the status after the first line, as all messages have it.
    private static func usage(_ message: String) -> String {
      var lines = message.split(separator: "\n", omittingEmptySubsequences: false)
        .map(String.init)
      if lines[0].hasPrefix("Error: ") { lines[0] = "error: " + lines[0].dropFirst(7) }
      lines[0] += "  (exit \(ExitStatus.usage.rawValue))"
      return lines.joined(separator: "\n") + "\n"
    }
  }
}
