/// The names that a pickle may use, and what each stands for here. Nothing is looked up anywhere
/// else: a name outside of this table ends the reading.
struct PickleConstructor {
  enum Kind {
    /// nil: bytes of no type.
    case storage(SafetensorsType?)
    case scalarType(SafetensorsType)
    /// Tensors over a storage; the number counts their arguments in PyTorch's three versions.
    case rebuildTensor(arguments: Int)
    case rebuildParameter
    /// A subclass of Tensor, or one with attributes: its first argument makes the tensor.
    case rebuildFromType
    case dictionary
    /// argparse's: a dictionary whose items come as its state.
    case namespace
    case tuple
    case set
    /// Bytes that protocol 2 spells as text.
    case encode
    case numpyArray, numpyArrayClass, numpyType, numpyScalar, numpyFromBuffer
    /// Data beside the weights, kept as its name alone.
    case inert
  }

  let name: String
  let kind: Kind

  static let all: [PickleConstructor] =
    storages + scalarTypes + torch + containers + numpy + inert

  /// Name → number in `all`.
  static let numbers: [String: Int] = Dictionary(
    uniqueKeysWithValues: all.enumerated().map { ($1.name, $0) })

  private static let storages: [PickleConstructor] = {
    let types: [(String, SafetensorsType)] = [
      ("Double", .f64), ("Float", .f32), ("Half", .f16), ("BFloat16", .bf16), ("Long", .i64),
      ("Int", .i32), ("Short", .i16), ("Char", .i8), ("Byte", .u8), ("Bool", .bool),
      ("ComplexFloat", .c64),
    ]
    let untyped = ["torch.UntypedStorage", "torch.storage.UntypedStorage"]
    return types.flatMap { name, dtype in
      ["torch", "torch.cuda"].map {
        PickleConstructor(name: "\($0).\(name)Storage", kind: .storage(dtype))
      }
    } + untyped.map { PickleConstructor(name: $0, kind: .storage(nil)) }
  }()

  private static let scalarTypes: [PickleConstructor] = {
    let types: [(String, SafetensorsType)] = [
      ("float64", .f64), ("float32", .f32), ("float16", .f16), ("bfloat16", .bf16),
      ("int64", .i64), ("int32", .i32), ("int16", .i16), ("int8", .i8), ("uint8", .u8),
      ("uint16", .u16), ("uint32", .u32), ("uint64", .u64), ("bool", .bool),
      ("complex64", .c64), ("float8_e4m3fn", .f8e4m3), ("float8_e5m2", .f8e5m2),
    ]
    return types.map { PickleConstructor(name: "torch.\($0)", kind: .scalarType($1)) }
  }()

  private static let torch = table([
    ("torch._utils._rebuild_tensor", .rebuildTensor(arguments: 4)),
    ("torch._utils._rebuild_tensor_v2", .rebuildTensor(arguments: 6)),
    ("torch._utils._rebuild_tensor_v3", .rebuildTensor(arguments: 7)),
    ("torch._utils._rebuild_parameter", .rebuildParameter),
    ("torch._utils._rebuild_parameter_with_state", .rebuildParameter),
    ("torch._tensor._rebuild_from_type_v2", .rebuildFromType),
    ("torch.Size", .tuple), ("torch.device", .inert), ("torch.Tensor", .inert),
    ("torch.nn.parameter.Parameter", .inert),
  ])

  private static let containers: [PickleConstructor] =
    table([
      ("collections.OrderedDict", .dictionary), ("collections.defaultdict", .dictionary),
      ("collections.Counter", .dictionary), ("argparse.Namespace", .namespace),
      ("_codecs.encode", .encode),
      ("pytorch_lightning.utilities.parsing.AttributeDict", .dictionary),
      ("lightning_fabric.utilities.data.AttributeDict", .dictionary),
      ("lightning.fabric.utilities.data.AttributeDict", .dictionary),
    ])
    + ["builtins", "__builtin__"].flatMap { module in
      table([("\(module).set", .set), ("\(module).frozenset", .set)])
        + ["slice", "dict", "list", "tuple", "int", "long", "float", "str", "unicode", "bool"].map {
          PickleConstructor(name: "\(module).\($0)", kind: .inert)
        }
    }

  private static let numpy =
    ["numpy.core", "numpy._core"].flatMap { core in
      table([
        ("\(core).multiarray._reconstruct", .numpyArray),
        ("\(core).multiarray.scalar", .numpyScalar),
        ("\(core).numeric._frombuffer", .numpyFromBuffer),
      ])
    } + table([("numpy.ndarray", .numpyArrayClass), ("numpy.dtype", .numpyType)])

  /// What training frameworks put beside the weights: configurations and callbacks.
  private static let inert: [PickleConstructor] = [
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.StringNode", "omegaconf.nodes.IntegerNode", "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.BooleanNode", "typing.Any", "pathlib.PosixPath", "pathlib.Path",
    "pathlib._local.PosixPath",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
  ].map { PickleConstructor(name: $0, kind: .inert) }

  private static func table(_ rows: [(String, Kind)]) -> [PickleConstructor] {
    rows.map { PickleConstructor(name: $0, kind: $1) }
  }
}
