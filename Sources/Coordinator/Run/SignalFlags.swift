import CSignals
import Diagnostics

/// The signals that have arrived: a listening thread sets these flags; the training loop reads them
/// between steps and lets them travel in the step's reduction, so that all ranks agree.
public struct SignalFlags: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Checkpoint and leave.
  public static let user1 = SignalFlags(rawValue: UInt8(LF_SIGNAL_USR1))
  /// Checkpoint and go on.
  public static let user2 = SignalFlags(rawValue: UInt8(LF_SIGNAL_USR2))
  /// Checkpoint and leave, as far as time allows.
  public static let terminate = SignalFlags(rawValue: UInt8(LF_SIGNAL_TERM))
  /// Ctrl-C: checkpoint and leave; a second one ends the process at once.
  public static let interrupt = SignalFlags(rawValue: UInt8(LF_SIGNAL_INT))

  public static let leave: SignalFlags = [.user1, .terminate, .interrupt]
  public static let checkpoint: SignalFlags = [.user1, .user2, .terminate, .interrupt]

  /// Starts to listen; SIGPIPE is ignored from here on, a closed pipe is an error of `write`.
  public static func install() throws {
    let code = lf_signals_install()
    guard code == 0 else {
      throw UserError(.internal, "signals", found: "cannot be listened for, errno \(code)")
    }
  }

  /// The flags that are set; they are clear afterwards.
  public static func take() -> SignalFlags { SignalFlags(rawValue: UInt8(lf_signals_take())) }
}
