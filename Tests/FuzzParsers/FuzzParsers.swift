import Diagnostics
import FlowData
import Foundation

// fuzz-parsers [--count N] [--seed S] [--only I] [--malloc]
// fuzz-parsers --measure FILE…
//
// Feeds the parsers of `Parser.all` with N changed fixtures. Input I is a function of S and I
// alone. A crash, a read behind the input, ten seconds on one input, or an error that is no
// UserError end it with a status other than 0 and the number of the input.
// With --measure it reads files whole and prints by how many bytes memory grew at its peak.

/// The input in work, for the signal handler.
nonisolated(unsafe) private var current = 0

@main
struct FuzzParsers {
  var count = 20_000
  var seed: UInt64 = 1
  var only: Int?
  /// Exactly sized blocks of the heap, which the address sanitizer watches on both sides.
  var usesHeap = false
  var files: [String] = []

  static func main() {
    do {
      let fuzz = try FuzzParsers(CommandLine.arguments.dropFirst())
      if fuzz.files.isEmpty { try fuzz.run() } else { fuzz.measure() }
    } catch {
      fail("\(error)")
    }
  }

  init(_ arguments: ArraySlice<String>) throws {
    var rest = arguments
    while let option = rest.popFirst() {
      switch option {
      case "--count": count = try FuzzParsers.number(&rest, option)
      case "--seed": seed = UInt64(try FuzzParsers.number(&rest, option))
      case "--only": only = try FuzzParsers.number(&rest, option)
      case "--malloc": usesHeap = true
      case "--measure":
        files = Array(rest)
        rest = []
      default: throw UserError(.usage, option, found: "an unknown option")
      }
    }
  }

  private static func number(_ rest: inout ArraySlice<String>, _ option: String) throws -> Int {
    guard let text = rest.popFirst(), let number = Int(text), number >= 0 else {
      throw UserError(.usage, option, found: "no number", expected: "one from 0")
    }
    return number
  }

  private func run() throws {
    let parsers = Parser.all
    let seeds = try parsers.map { try $0.load() }
    let buffer = try GuardedBuffer(capacity: 64 << 10)
    watch()
    var accepted = [Int](repeating: 0, count: parsers.count)
    var slowest = (seconds: 0.0, input: 0)
    let clock = ContinuousClock()
    let start = clock.now
    for input in only.map({ $0...$0 }) ?? 0...max(0, count - 1) {
      current = input
      alarm(10)
      var random = SplitMix64(seed: seed &* 0x1_0000_0001 &+ UInt64(input))
      let number = input % parsers.count
      let own = seeds[number]
      let bytes = mutated(own[Int.random(in: 0..<own.count, using: &random)], own, &random)
      let began = clock.now
      if try accepts(parsers[number], bytes, buffer) { accepted[number] += 1 }
      let seconds = (clock.now - began) / .seconds(1)
      if seconds > slowest.seconds { slowest = (seconds, input) }
    }
    alarm(0)
    let seconds = (clock.now - start) / .seconds(1)
    report(parsers, accepted, seconds, slowest)
  }

  /// Whether the parser read the input rather than refusing it.
  private func accepts(
    _ parser: Parser, _ bytes: [UInt8], _ buffer: GuardedBuffer
  ) throws -> Bool {
    let held: UnsafeRawBufferPointer
    if usesHeap {
      let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
      block.copyBytes(from: bytes)
      held = UnsafeRawBufferPointer(block)
    } else {
      held = buffer.hold(bytes)
    }
    defer { if usesHeap { held.deallocate() } }
    do {
      try parser.parse(held)
      return true
    } catch is UserError {
      return false
    } catch {
      throw UserError(.internal, "input \(current)", found: "\(error)", expected: "a UserError")
    }
  }

  private func report(
    _ parsers: [Parser], _ accepted: [Int], _ seconds: Double, _ slowest: (Double, Int)
  ) {
    let total = only == nil ? count : 1
    for (number, parser) in parsers.enumerated() {
      let inputs = (total + parsers.count - 1 - number) / parsers.count
      print("\(parser.name): \(inputs) inputs, \(accepted[number]) still read")
    }
    print(
      String(
        format: "%d inputs in %.1f s (%.0f a second), seed %llu; slowest %.1f ms (input %d); "
          + "memory at most %d MiB",
        total, seconds, Double(total) / max(seconds, 1e-9), seed, 1000 * slowest.0, slowest.1,
        peakMemory() >> 20))
  }

  private func measure() {
    let before = peakMemory()
    for file in files {
      do {
        let source = try TensorFile.open(file)
        for name in source.names { _ = try source.withBytes(name) { $0.count } }
        print("\(file): read")
      } catch {
        print("\(file): refused")
      }
    }
    print(peakMemory() - before)
  }

  /// Bytes that this program had in memory at most. Not getrusage's: that figure outlives exec and
  /// begins at the size of the process that started this one.
  private func peakMemory() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    let words = line?.split(whereSeparator: \.isWhitespace) ?? []
    guard words.count == 3, let kibibytes = Int(words[1]) else {
      FuzzParsers.fail("/proc/self/status has no VmHWM")
    }
    return kibibytes << 10
  }

  /// Names the input when the process is about to die, or does not come to an end with it.
  private func watch() {
    for signal in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM] {
      Foundation.signal(signal) { number in
        FuzzParsers.fail("input \(current) ended by signal \(number)")
      }
    }
  }

  private static func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("fuzz-parsers: \(message)\n".utf8))
    _exit(1)
  }
}
