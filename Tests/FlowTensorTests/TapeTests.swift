import FlowTensor
import Testing

@Suite("Tape", .serialized)
struct TapeTests {
  @Test("activations die while the backward pass runs")
  func progressiveRelease() {
    // 64 tensors of 1 MiB in a chain: backward must not need twice the memory of forward.
    let n = 1 << 18
    let tape = Tape()
    var h = tape.ride(Tensor([n], fill: 0.5))
    for _ in 0..<64 { h = silu(h) }
    let loss = meanSquaredError(h, Tensor([n], fill: 0))
    h = Tensor([1], fill: 0)
    let before = tensorMemory().held
    tape.backward(from: loss)
    #expect(tensorMemory().held - before <= 6 * n * 4)
  }

  @Test("a chain of a million operations unwinds without overflowing the stack")
  func longChain() {
    let tape = Tape()
    let x = tape.ride(Tensor([1], fill: 1))
    var h = x
    for _ in 0..<1_000_000 { h = 1 * h }
    tape.backward(from: h)
    #expect(x.gradient?.values == [1])
  }

  @Test("a second pass of the same size takes no new memory from the system")
  func steadyMemory() {
    func pass() {
      let tape = Tape()
      var h = tape.ride(Tensor([64, 300], fill: 0.1))
      for _ in 0..<5 { h = silu(h) + h }
      tape.backward(from: meanSquaredError(h, Tensor([64, 300], fill: 0)))
    }
    pass()
    let held = tensorMemory().held
    for _ in 0..<10 { pass() }
    #expect(tensorMemory().held == held)
  }

  @Test("parameters report when their last contribution is in")
  func finishedLeaves() {
    let arena = Storage(count: 64)
    let gradient = Gradient(leaf: 3, storage: arena, offset: 16, count: 4)
    let w = Tensor(storage: Storage(count: 4), shape: [2, 2], gradient: gradient)
    w.base.update(repeating: 0.5, count: 4)
    let tape = Tape()
    let x = tape.ride(constant: Tensor([3, 2], fill: 1))
    let h = linear(linear(x, weight: w, bias: nil), weight: w, bias: nil)
    var finished: [Int] = []
    tape.backward(from: meanSquaredError(h, Tensor([3, 2], fill: 0))) { leaf in
      finished.append(leaf.leafIndex!)
    }
    #expect(finished == [3])
    // W·x = W·W·x = 1 for each output, dL/dy = 2/6 for each of 3 rows: 1 from either use of W.
    #expect(gradient.values == [2, 2, 2, 2])
  }
}
