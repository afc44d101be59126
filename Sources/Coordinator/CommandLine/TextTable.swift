/// Columns of text, each as wide as its widest cell.
struct TextTable {
  /// Columns whose cells end at the same place; others begin at the same place.
  let rightAligned: Set<Int>
  private var rows: [[String]] = []

  init(rightAligned: Set<Int> = []) { self.rightAligned = rightAligned }

  mutating func append(_ cells: String...) { rows.append(cells) }

  mutating func append(_ cells: [String]) { rows.append(cells) }

  /// A line for each row, two spaces between columns.
  func text(indent: Int = 0) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return rightAligned.contains(column) ? space + cell : cell + space
      }
      var line = String(repeating: " ", count: indent) + cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}
