/// SplitMix64 (Steele, Lea & Flood 2014): a seed gives the same numbers everywhere.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Values at which sizes, counts and signs go wrong.
private let edges: [UInt64] = [
  0, 1, 2, 4, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF,
  0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, .max,
]

/// `input` with one to six changes; at most 64 KiB.
///
/// - Parameter others: what a piece may be taken from.
func mutated(
  _ input: [UInt8], _ others: [[UInt8]], _ random: inout SplitMix64
) -> [UInt8] {
  var bytes = input
  // Half of the inputs differ in one place: most of those get far into a parser.
  let changes = max(1, Int.random(in: -3...6, using: &random))
  for _ in 0..<changes {
    guard !bytes.isEmpty else { return [UInt8.random(in: 0...255, using: &random)] }
    change(&bytes, others, &random)
  }
  return Array(bytes.prefix(64 << 10))
}

private func change(
  _ bytes: inout [UInt8], _ others: [[UInt8]], _ random: inout SplitMix64
) {
  let place = Int.random(in: 0..<bytes.count, using: &random)
  let length = min(bytes.count - place, Int.random(in: 1...32, using: &random))
  switch Int.random(in: 0..<10, using: &random) {
  case 0, 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
  case 2: bytes[place] = UInt8.random(in: 0...255, using: &random)
  case 3, 4: overwrite(&bytes, at: place, &random)
  case 5: bytes.removeSubrange(place..<place + length)
  case 6: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
  case 7: bytes.removeLast(min(bytes.count, Int.random(in: 1...64, using: &random)))
  case 8:
    let other = others[Int.random(in: 0..<others.count, using: &random)]
    guard !other.isEmpty else { return }
    let start = Int.random(in: 0..<other.count, using: &random)
    let piece = other[start..<min(other.count, start + length)]
    bytes.replaceSubrange(place..<min(bytes.count, place + piece.count), with: piece)
  default:
    // Digits and punctuation keep text formats alive.
    let text = Array("0123456789-.,:\"'{}[]()eE<>|".utf8)
    bytes[place] = text[Int.random(in: 0..<text.count, using: &random)]
  }
}

/// An edge value in 1, 2, 4 or 8 bytes, of either byte order.
private func overwrite(_ bytes: inout [UInt8], at place: Int, _ random: inout SplitMix64) {
  let value = edges[Int.random(in: 0..<edges.count, using: &random)]
  let width = 1 << Int.random(in: 0...3, using: &random)
  let isBig = Bool.random(using: &random)
  for i in 0..<min(width, bytes.count - place) {
    let shift = 8 * (isBig ? width - 1 - i : i)
    bytes[place + i] = UInt8(truncatingIfNeeded: value >> UInt64(shift))
  }
}
