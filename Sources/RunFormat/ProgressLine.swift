import Diagnostics
import Foundation

/// How far a run is.
public struct RunProgress: Sendable, Equatable {
  public var step: Int
  public var total: Int
  public var loss: Double?
  public var gradientNorm: Double?
  public var imagesPerSecond: Double?
  /// Seconds that the rest will take.
  public var secondsLeft: Double?
  /// What else a person may want to know, at the end of the line.
  public var detail: String?

  public init(
    step: Int, total: Int, loss: Double? = nil, gradientNorm: Double? = nil,
    imagesPerSecond: Double? = nil, secondsLeft: Double? = nil, detail: String? = nil
  ) {
    self.step = step
    self.total = total
    self.loss = loss
    self.gradientNorm = gradientNorm
    self.imagesPerSecond = imagesPerSecond
    self.secondsLeft = secondsLeft
    self.detail = detail
  }

  /// `step 120/5000  loss 0.8312  412 images/s  ETA 6:12  gradient 1.04`
  ///
  /// - Parameter width: columns; whole entries are left out from the right until it fits.
  public func line(width: Int = .max) -> String {
    let padding = String(repeating: " ", count: max(0, "\(total)".count - "\(step)".count))
    var entries = ["step \(padding)\(step)/\(total)"]
    if let loss { entries.append("loss \(RunProgress.significant(loss))") }
    if let imagesPerSecond {
      entries.append("\(RunProgress.significant(imagesPerSecond, digits: 3)) images/s")
    }
    if let secondsLeft { entries.append("ETA \(RunProgress.clock(secondsLeft))") }
    if let gradientNorm { entries.append("gradient \(RunProgress.significant(gradientNorm))") }
    if let detail { entries.append(detail) }
    var line = entries[0]
    for entry in entries.dropFirst() where line.count + 2 + entry.count <= width {
      line += "  " + entry
    }
    return String(line.prefix(width))
  }

  /// Four significant digits, and plain notation for what a person reads at a glance.
  static func significant(_ value: Double, digits: Int = 4) -> String {
    guard value.isFinite else { return "\(value)" }
    let size = abs(value)
    if value == 0 { return "0" }
    if size < 1e-3 || size >= 1e6 { return String(format: "%.\(digits - 1)e", value) }
    let decimals = max(0, digits - 1 - Int(log10(size).rounded(.down)))
    return String(format: "%.\(decimals)f", value)
  }

  /// `6:12` or `1:06:12`.
  static func clock(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "–" }
    let s = Int(max(0, seconds).rounded())
    let (hours, minutes) = (s / 3600, s / 60 % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, s % 60)
      : String(format: "%d:%02d", minutes, s % 60)
  }
}

/// Progress for a person: on a terminal one live line, elsewhere a plain line whenever the run
/// logs.  A closed pipe silences it; the run goes on.
public final class ProgressLine {
  /// Seconds between redraws.
  static let interval = 0.1

  private let descriptor: Int32
  private let isTerminal: Bool
  private let width: () -> Int
  private let clock: () -> Double
  private var lastDrawn = -Double.infinity
  private var isLineOpen = false
  /// False once the other end of the pipe is gone.
  public private(set) var isOpen = true

  /// - Parameters:
  ///   - descriptor: standard error.
  ///   - isTerminal: nil asks the descriptor.
  ///   - width: columns of the terminal, asked at every redraw: windows change.
  ///   - clock: seconds that only grow.
  public init(
    descriptor: Int32 = 2, isTerminal: Bool? = nil, width: (() -> Int)? = nil,
    clock: @escaping () -> Double = uptime
  ) {
    self.descriptor = descriptor
    self.isTerminal = isTerminal ?? (isatty(descriptor) == 1)
    self.width = width ?? { ProgressLine.columns(of: descriptor) }
    self.clock = clock
  }

  /// Call after every step.
  ///
  /// - Parameter isLogged: whether the run logs this step; a log file gets these.
  public func update(_ progress: RunProgress, isLogged: Bool) {
    if isTerminal {
      let now = clock()
      guard now - lastDrawn >= ProgressLine.interval || progress.step == progress.total else {
        return
      }
      lastDrawn = now
      // To the first column, the line, and clear what an earlier, longer one left.
      write("\r" + progress.line(width: max(1, width() - 1)) + "\u{1B}[K")
      isLineOpen = true
    } else if isLogged {
      write(progress.line() + "\n")
    }
  }

  /// A line of text between redraws.
  public func say(_ text: String) {
    write((isLineOpen ? "\r\u{1B}[K" : "") + text + "\n")
    isLineOpen = false
    lastDrawn = -.infinity
  }

  /// Ends the live line, so that what follows begins at the first column.
  public func finish() {
    if isLineOpen { write("\n") }
    isLineOpen = false
  }

  private func write(_ text: String) {
    guard isOpen else { return }
    isOpen = writeAll(descriptor, text)
  }

  private static func columns(of descriptor: Int32) -> Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }
}

/// Seconds that only grow.
public func uptime() -> Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }

/// Writes all of `text`; false if the descriptor takes no more (a closed pipe, a full disk).
/// SIGPIPE must be ignored.
func writeAll(_ descriptor: Int32, _ text: String) -> Bool {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    // A terminal that is stopped and does not block loses a line, no more.
    guard count >= 0 else { return errno == EAGAIN }
    bytes = bytes.dropFirst(count)
  }
  return true
}
