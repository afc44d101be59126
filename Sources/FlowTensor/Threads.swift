import CGomp

/// The engine's threads: one OpenMP team, shared with OpenBLAS and oneDNN, driven by one calling
/// thread (libgomp makes a team per calling thread).
public enum Threads {
  /// Sets the size of the team; call once at start, before any tensor work.
  public static func use(_ count: Int) {
    precondition(count >= 1, "\(count) threads")
    omp_set_dynamic(0)
    omp_set_num_threads(Int32(count))
  }

  public static var count: Int { Int(omp_get_max_threads()) }
}

/// Splits `0..<count` evenly over the team and runs `body` on each part.
///
/// - Parameter grain: below this many iterations per thread fewer threads are used: a region costs
///   about a microsecond. Choose it so that one grain takes several.
@inline(__always)
public func parallelFor(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
  let threads = min(Threads.count, max(1, count / max(1, grain)))
  if threads <= 1 || omp_in_parallel() != 0 {
    if count > 0 { body(0..<count) }
    return
  }
  withoutActuallyEscaping(body) { body in
    var region = ParallelRegion(count: count, body: body)
    withUnsafeMutablePointer(to: &region) { context in
      GOMP_parallel(
        { raw in
          let region = raw!.assumingMemoryBound(to: ParallelRegion.self)
          let team = Int(omp_get_num_threads())
          let member = Int(omp_get_thread_num())
          let lower = region.pointee.count * member / team
          let upper = region.pointee.count * (member + 1) / team
          if lower < upper { region.pointee.body(lower..<upper) }
        }, context, UInt32(threads), 0)
    }
  }
}

@usableFromInline
struct ParallelRegion {
  @usableFromInline let count: Int
  @usableFromInline let body: (Range<Int>) -> Void
  @usableFromInline init(count: Int, body: @escaping (Range<Int>) -> Void) {
    self.count = count
    self.body = body
  }
}
