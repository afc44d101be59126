import CDNNL

/// oneDNN's engine and stream, and its 2.x descriptor calls under Swift names.
///
/// Primitives share libgomp's team with the rest of the engine; scratchpads come from the pool.
final class OneDNN: @unchecked Sendable {
  static let shared = OneDNN()

  let engine: dnnl_engine_t
  let stream: dnnl_stream_t

  private init() {
    var engine: dnnl_engine_t?
    OneDNN.check(dnnl_engine_create(&engine, dnnl_cpu, 0), "creating the engine")
    var stream: dnnl_stream_t?
    OneDNN.check(
      dnnl_stream_create(&stream, engine, UInt32(dnnl_stream_default_flags.rawValue)),
      "creating the stream")
    self.engine = engine!
    self.stream = stream!
  }

  /// Stops with the status and `work` (which names the shape) unless `status` is success.
  static func check(_ status: dnnl_status_t, _ work: @autoclosure () -> String) {
    precondition(status == dnnl_success, "oneDNN status \(status.rawValue): \(work())")
  }
}

/// How a tensor lies in memory, as oneDNN describes it.
struct OneDNNLayout {
  var descriptor = dnnl_memory_desc_t()

  /// float32 of extents `dims` in oneDNN's logical order (NCHW, OIHW), laid out as `tag` says.
  init(_ dims: [Int], _ tag: dnnl_format_tag_t) {
    let extents = dims.map(Int64.init)
    OneDNN.check(
      dnnl_memory_desc_init_by_tag(&descriptor, Int32(dims.count), extents, dnnl_f32, tag),
      "describing float32 \(dims)")
  }

  /// What the primitive chose, or was given, for one of its arguments.
  init(of primitive: dnnl_primitive_desc_t, argument: Int32) {
    guard let found = dnnl_primitive_desc_query_md(primitive, dnnl_query_exec_arg_md, argument)
    else { preconditionFailure("oneDNN knows no layout of argument \(argument)") }
    descriptor = found.pointee
  }

  /// In oneDNN's logical order.
  var extents: [Int] {
    withUnsafeBytes(of: descriptor.dims) { dims in
      (0..<Int(descriptor.ndims)).map { Int(dims.load(fromByteOffset: 8 * $0, as: Int64.self)) }
    }
  }

  /// Elements to allocate, padding of blocked layouts included.
  var count: Int {
    withUnsafePointer(to: descriptor) { dnnl_memory_desc_get_size($0) } / MemoryLayout<Float>.stride
  }

  static func == (a: OneDNNLayout, b: OneDNNLayout) -> Bool {
    withUnsafePointer(to: a.descriptor) { a in
      withUnsafePointer(to: b.descriptor) { b in dnnl_memory_desc_equal(a, b) != 0 }
    }
  }
}

/// A compiled primitive; stateless between calls.
final class OneDNNPrimitive {
  typealias Argument = (index: Int32, layout: OneDNNLayout, data: UnsafeMutablePointer<Float>)

  private let handle: dnnl_primitive_t
  private let scratchpad: OneDNNLayout
  private let work: String

  /// Compiles `description` and destroys it.
  init(consuming description: dnnl_primitive_desc_t, _ work: String) {
    var handle: dnnl_primitive_t?
    OneDNN.check(dnnl_primitive_create(&handle, description), work)
    self.handle = handle!
    self.scratchpad = OneDNNLayout(of: description, argument: DNNL_ARG_SCRATCHPAD)
    self.work = work
    dnnl_primitive_desc_destroy(description)
  }

  /// A change of layout, `beta` 1 adding to what is there.
  convenience init(
    reorder source: OneDNNLayout, to destination: OneDNNLayout, beta: Float = 0, _ work: String
  ) {
    let engine = OneDNN.shared.engine
    let attributes = OneDNNAttributes(summing: beta != 0)
    var description: dnnl_primitive_desc_t?
    var (from, to) = (source.descriptor, destination.descriptor)
    OneDNN.check(
      dnnl_reorder_primitive_desc_create(
        &description, &from, engine, &to, engine, attributes.handle), "reorder for \(work)")
    self.init(consuming: description!, "reorder for \(work)")
  }

  deinit { dnnl_primitive_destroy(handle) }

  func callAsFunction(_ arguments: [Argument]) {
    let dnn = OneDNN.shared
    let workspace = scratchpad.count > 0 ? Storage(count: scratchpad.count) : nil
    var all = arguments
    if let workspace { all.append((DNNL_ARG_SCRATCHPAD, scratchpad, workspace.base)) }
    let bound = all.map { argument in
      var memory: dnnl_memory_t?
      var descriptor = argument.layout.descriptor
      OneDNN.check(dnnl_memory_create(&memory, &descriptor, dnn.engine, argument.data), work)
      return dnnl_exec_arg_t(arg: argument.index, memory: memory)
    }
    OneDNN.check(dnnl_primitive_execute(handle, dnn.stream, Int32(bound.count), bound), work)
    OneDNN.check(dnnl_stream_wait(dnn.stream), work)
    for argument in bound { dnnl_memory_destroy(argument.memory) }
    withExtendedLifetime(workspace) {}
  }
}

/// Attributes of a primitive: scratchpad from the caller, optionally adding to the destination, or
/// max(0, ·) of the result.
final class OneDNNAttributes {
  let handle: dnnl_primitive_attr_t

  init(summing: Bool = false, rectified: Bool = false) {
    var attributes: dnnl_primitive_attr_t?
    OneDNN.check(dnnl_primitive_attr_create(&attributes), "creating attributes")
    handle = attributes!
    OneDNN.check(
      dnnl_primitive_attr_set_scratchpad_mode(handle, dnnl_scratchpad_mode_user), "scratchpad mode")
    guard summing || rectified else { return }
    var operations: dnnl_post_ops_t?
    OneDNN.check(dnnl_post_ops_create(&operations), "creating post-operations")
    if summing { OneDNN.check(dnnl_post_ops_append_sum(operations, 1), "appending a sum") }
    if rectified {
      OneDNN.check(
        dnnl_post_ops_append_eltwise(operations, 1, dnnl_eltwise_relu, 0, 0), "appending a ReLU")
    }
    OneDNN.check(dnnl_primitive_attr_set_post_ops(handle, operations), "setting post-operations")
    dnnl_post_ops_destroy(operations)
  }

  deinit { dnnl_primitive_attr_destroy(handle) }
}
