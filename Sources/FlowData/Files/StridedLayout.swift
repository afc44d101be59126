/// Where the elements of a tensor lie in a run of memory, in elements.
struct StridedLayout: Equatable, Sendable {
  let dims: [Int]
  let strides: [Int]
  let offset: Int

  /// Row-major from the start.
  init(rowMajor dims: [Int]) {
    self.init(dims, strides: StridedLayout.rowMajorStrides(dims), offset: 0)
  }

  /// Column-major from the start, as Fortran and MATLAB have it.
  init(columnMajor dims: [Int]) {
    let strides = StridedLayout.rowMajorStrides(dims.reversed()).reversed()
    self.init(dims, strides: Array(strides), offset: 0)
  }

  init(_ dims: [Int], strides: [Int], offset: Int) {
    precondition(dims.count == strides.count, "strides \(strides) for shape \(dims)")
    (self.dims, self.strides, self.offset) = (dims, strides, offset)
  }

  /// Wraps on overflow: callers have checked that the elements can be counted, and where there are
  /// none no stride is used.
  private static func rowMajorStrides(_ dims: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: dims.count)
    for axis in dims.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] &* dims[axis + 1]
    }
    return strides
  }

  /// One more than the last element's place; nil if that exceeds an `Int`.
  var end: Int? {
    var last = offset
    if dims.contains(0) { return offset }
    for (extent, stride) in zip(dims, strides) {
      let (step, tooFar) = stride.multipliedReportingOverflow(by: extent - 1)
      let (next, beyond) = last.addingReportingOverflow(step)
      if tooFar || beyond { return nil }
      last = next
    }
    let (end, beyond) = last.addingReportingOverflow(1)
    return beyond ? nil : end
  }

  /// Whether the elements lie one after the other in row-major order.
  var isRowMajor: Bool {
    var expected = 1
    for (extent, stride) in zip(dims, strides).reversed() where extent != 1 {
      if stride != expected { return false }
      expected &*= extent
    }
    return true
  }

  /// Copies the elements, of `width` bytes each, in row-major order.
  ///
  /// - Parameter memory: at least `end` elements.
  func gather(
    _ memory: UnsafeRawBufferPointer, width: Int, into out: UnsafeMutableRawPointer
  ) {
    guard !dims.contains(0), let base = memory.baseAddress else { return }
    guard let last = dims.last, let step = strides.last else {
      out.copyMemory(from: base + offset * width, byteCount: width)
      return
    }
    var index = [Int](repeating: 0, count: dims.count - 1)
    var row = offset
    var target = out
    while true {
      var source = base + row * width
      for _ in 0..<last {
        target.copyMemory(from: source, byteCount: width)
        target += width
        source += step * width
      }
      // The next row: the index counts up like a mileage counter.
      var axis = index.count - 1
      while axis >= 0 {
        index[axis] += 1
        row += strides[axis]
        if index[axis] < dims[axis] { break }
        row -= strides[axis] * dims[axis]
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
