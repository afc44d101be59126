import FlowData

/// What a training run needs of its rows beside latents and labels.
public struct RowContents: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The latents of the images made smaller.
  public static let low = RowContents(rawValue: 1)
  /// A class per pixel.
  public static let classMap = RowContents(rawValue: 2)
}

/// Rows of the data, copied: what one micro-batch needs of them.
public struct LatentBatch: Equatable {
  public let indices: [Int]
  /// [b, H, W, C] flattened, unscaled.
  public var mean: [Float]
  /// Of the same shape; nil without a posterior (pixels).
  public var logvar: [Float]?
  public var labels: [Int]?
  /// Of the images made smaller, [b, h, w, C].
  public var lowMean: [Float]?
  public var lowLogvar: [Float]?
  /// Class of every pixel, [b, height, width].
  public var classMap: [UInt8]?
  /// Of the pictures with holes, for inpainting; every rank makes its own.
  public var masked: Masked?

  /// Pictures whose holes are black.
  public struct Masked: Equatable {
    public var context: HoleContext
    /// [b, H, W, C]; of `HoleContext.thumbnail` the whole context
    public var mean: [Float]
    public var logvar: [Float]?
    /// Of the masks: 0 in the hole, 255 elsewhere, [b, height, width]
    public var levels: [UInt8]
  }

  public init(
    indices: [Int], mean: [Float], logvar: [Float]? = nil, labels: [Int]? = nil,
    lowMean: [Float]? = nil, lowLogvar: [Float]? = nil, classMap: [UInt8]? = nil
  ) {
    (self.indices, self.mean, self.logvar, self.labels) = (indices, mean, logvar, labels)
    (self.lowMean, self.lowLogvar, self.classMap) = (lowMean, lowLogvar, classMap)
  }
}

extension LatentBatch {
  /// Rows of a cache, which must hold `contents`.
  init(_ cache: LatentCache, _ requests: [LatentRequest], _ contents: RowContents) {
    let d = cache.index.description
    self.init(
      indices: requests.map(\.index), mean: [], logvar: d.hasLogvar ? [] : nil,
      labels: d.hasLabels ? [] : nil)
    mean.reserveCapacity(requests.count * d.rowCount)
    for request in requests { cache.willNeed(request.index, flipped: request.flipped) }
    for request in requests {
      let row = cache.row(request.index, flipped: request.flipped)
      mean += UnsafeBufferPointer(start: row.mean, count: d.rowCount)
      if let base = row.logvar {
        logvar! += UnsafeBufferPointer(start: base, count: d.rowCount)
      }
      if let label = row.label { labels!.append(label) }
      if contents.contains(.low) { appendLow(row, d) }
      if contents.contains(.classMap) {
        guard let map = cache.mask(request.index, flipped: request.flipped) else {
          preconditionFailure("\(cache.folder): rows without class maps")
        }
        classMap = (classMap ?? []) + map.labels
      }
    }
  }

  private mutating func appendLow(_ row: LatentRow, _ d: LatentCacheDescription) {
    guard let base = row.lowMean, let count = d.lowResolution?.rowCount else {
      preconditionFailure("rows without low-resolution latents")
    }
    lowMean = (lowMean ?? []) + UnsafeBufferPointer(start: base, count: count)
    if let logvar = row.lowLogvar {
      lowLogvar = (lowLogvar ?? []) + UnsafeBufferPointer(start: logvar, count: count)
    }
  }
}

// MARK: - On the way between ranks

extension LatentBatch {
  /// Every array with its length before it, −1 for none; the receiver knows the indices.
  var packed: [UInt8] {
    var bytes: [UInt8] = []
    func put<Element>(_ array: [Element]?) {
      withUnsafeBytes(of: Int64(array?.count ?? -1)) { bytes += $0 }
      array?.withUnsafeBytes { bytes += $0 }
    }
    put(mean)
    put(logvar)
    put(labels)
    put(lowMean)
    put(lowLogvar)
    put(classMap)
    return bytes
  }

  init(packed bytes: [UInt8], indices: [Int]) {
    var offset = 0
    func take<Element>(_ zero: Element) -> [Element]? {
      let count = bytes.withUnsafeBytes {
        Int($0.loadUnaligned(fromByteOffset: offset, as: Int64.self))
      }
      offset += MemoryLayout<Int64>.size
      guard count >= 0 else { return nil }
      let size = count * MemoryLayout<Element>.stride
      defer { offset += size }
      return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
        UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes[offset..<offset + size])
        initialized = count
      }
    }
    self.init(
      indices: indices, mean: take(Float(0)) ?? [], logvar: take(Float(0)), labels: take(0),
      lowMean: take(Float(0)), lowLogvar: take(Float(0)), classMap: take(UInt8(0)))
  }
}
