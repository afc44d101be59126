import Worker
import FlowTensor
import Foundation
@main struct Main { static func main() {
  let a = CommandLine.arguments
  Threads.use(Int(a[2])!)
  let b = DiTBenchmark(name: a[1])!
  func time(_ f: () -> Void) -> Double { let s = ContinuousClock().measure(f); return Double(s.components.attoseconds)/1e18 + Double(s.components.seconds) }
  for _ in 0..<300 { 
  print("fwd", time { _ = b.forward() }, "GF", b.configuration.flopsPerSample * 8 / 1e9)
  print("fb", time { _ = b.forwardBackward() }, tensorMemory().held >> 20) }
}}
