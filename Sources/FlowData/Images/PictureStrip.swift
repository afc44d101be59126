/// Rows of pictures that belong together, with a word above each column and before each row.
public struct PictureStrip: Sendable {
  public struct Row: Sendable {
    public let title: String
    public let pictures: [ImageBuffer]

    public init(_ title: String, _ pictures: [ImageBuffer]) {
      (self.title, self.pictures) = (title, pictures)
    }
  }

  public let columnTitles: [String]
  public let rows: [Row]
  /// Rows that stand close together: a wider gap follows each such group.
  public let rowsPerGroup: Int

  /// Small pictures are enlarged by a whole factor to at least this many pixels.
  private static let smallest = 96
  private static let gap = 4
  private static let groupGap = 14
  private static let margin = 12
  private static let letters = 2

  /// All pictures must have one size, all rows as many as there are column titles.
  public init(columnTitles: [String], rows: [Row], rowsPerGroup: Int = 1) {
    let size = rows.first?.pictures.first?.size
    precondition(
      size != nil
        && rows.allSatisfy { row in
          row.pictures.count == columnTitles.count && row.pictures.allSatisfy { $0.size == size }
        }, "rows of \(rows.map(\.pictures.count)) pictures under \(columnTitles.count) titles")
    (self.columnTitles, self.rows, self.rowsPerGroup) = (columnTitles, rows, rowsPerGroup)
  }

  public func compose() -> ImageBuffer {
    let first = rows[0].pictures[0]
    let factor = max(1, (Self.smallest + first.width - 1) / first.width)
    let (width, height) = (factor * first.width, factor * first.height)
    let lineHeight = BitmapFont.height * Self.letters
    let left = Self.margin + (rows.map { Self.extent(of: $0.title) }.max() ?? 0) + Self.margin
    let top = Self.margin + lineHeight + Self.margin / 2
    let groups = (rows.count + rowsPerGroup - 1) / rowsPerGroup
    var strip = ImageBuffer(
      width: left + columnTitles.count * (width + Self.gap) - Self.gap + Self.margin,
      height: top + rows.count * (height + Self.gap) - Self.gap
        + (groups - 1) * (Self.groupGap - Self.gap) + Self.margin, gray: 255)
    for (column, title) in columnTitles.enumerated() {
      let middle = left + column * (width + Self.gap) + width / 2
      strip.write(title, x: middle - Self.extent(of: title) / 2, y: Self.margin)
    }
    for (index, row) in rows.enumerated() {
      let y = top + index * (height + Self.gap)
        + index / rowsPerGroup * (Self.groupGap - Self.gap)
      strip.write(row.title, x: Self.margin, y: y + (height - lineHeight) / 2)
      for (column, picture) in row.pictures.enumerated() {
        strip.place(picture, x: left + column * (width + Self.gap), y: y, factor: factor)
      }
    }
    return strip
  }

  private static func extent(of text: String) -> Int {
    max(0, text.count * BitmapFont.advance - 1) * letters
  }
}

extension ImageBuffer {
  /// Puts `picture`, each pixel a square of `factor`, with its upper left corner at (`x`, `y`).
  fileprivate mutating func place(_ picture: ImageBuffer, x: Int, y: Int, factor: Int) {
    for row in 0..<factor * picture.height {
      for column in 0..<factor * picture.width {
        self[x + column, y + row] = picture[column / factor, row / factor]
      }
    }
  }
}
