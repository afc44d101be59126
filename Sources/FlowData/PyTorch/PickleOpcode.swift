/// The instructions of pickle, protocols 0 to 5 (CPython, Lib/pickletools.py).
enum PickleOpcode: UInt8 {
  case mark = 0x28, stop = 0x2E, pop = 0x30, popMark = 0x31, dup = 0x32
  case none = 0x4E, newTrue = 0x88, newFalse = 0x89
  case binInt = 0x4A, binInt1 = 0x4B, binInt2 = 0x4D, long1 = 0x8A, long4 = 0x8B
  case binFloat = 0x47
  case binString = 0x54, shortBinString = 0x55
  case binUnicode = 0x58, shortBinUnicode = 0x8C, binUnicode8 = 0x8D
  case binBytes = 0x42, shortBinBytes = 0x43, binBytes8 = 0x8E, byteArray8 = 0x96
  case emptyList = 0x5D, list = 0x6C, append = 0x61, appends = 0x65
  case emptyTuple = 0x29, tuple = 0x74, tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87
  case emptyDict = 0x7D, dict = 0x64, setItem = 0x73, setItems = 0x75
  case emptySet = 0x8F, addItems = 0x90, frozenSet = 0x91
  case binGet = 0x68, longBinGet = 0x6A, binPut = 0x71, longBinPut = 0x72, memoize = 0x94
  case global = 0x63, stackGlobal = 0x93
  case reduce = 0x52, build = 0x62, newObj = 0x81
  case binPersID = 0x51
  case proto = 0x80, frame = 0x95
  // Known, and refused by name: text forms of protocol 0, classes by other ways, loose buffers.
  case int = 0x49, long = 0x4C, float = 0x46, string = 0x53, unicode = 0x56
  case get = 0x67, put = 0x70, persID = 0x50, inst = 0x69, obj = 0x6F, newObjEx = 0x92
  case ext1 = 0x82, ext2 = 0x83, ext4 = 0x84, nextBuffer = 0x97, readOnlyBuffer = 0x98
}
