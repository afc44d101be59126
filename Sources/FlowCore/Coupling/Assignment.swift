/// The permutation of least cost: row i takes column result[i], each column once.
///
/// Shortest augmenting paths with dual prices, O(n³): Jonker & Volgenant, Computing 38 (1987) 325;
/// as in Crouse, IEEE Trans. Aerosp. Electron. Syst. 52 (2016) 1679, algorithm of section III.
/// Among equal distances the lowest column is taken, so that ties have one answer.
///
/// - Parameter cost: [n, n], row-major, finite
public func leastCostAssignment(_ cost: [Double], count n: Int) -> [Int] {
  precondition(cost.count == n * n, "\(cost.count) costs for an assignment of \(n)")
  precondition(cost.allSatisfy(\.isFinite), "an assignment needs finite costs")
  var prices = AssignmentPrices(rows: n)
  for row in 0..<n { prices.augment(from: row, cost, n) }
  return prices.columnOfRow
}

private struct AssignmentPrices {
  private var rowPrice: [Double]
  private var columnPrice: [Double]
  private(set) var columnOfRow: [Int]
  private var rowOfColumn: [Int]

  init(rows n: Int) {
    (rowPrice, columnPrice) = (Array(repeating: 0, count: n), Array(repeating: 0, count: n))
    (columnOfRow, rowOfColumn) = (Array(repeating: -1, count: n), Array(repeating: -1, count: n))
  }

  /// Assigns one more row by the shortest path of reduced costs to a free column.
  mutating func augment(from start: Int, _ cost: [Double], _ n: Int) {
    var distance = [Double](repeating: .infinity, count: n)
    var previousRow = [Int](repeating: -1, count: n)
    var done = [Bool](repeating: false, count: n)
    var (row, reached, end) = (start, 0.0, -1)
    while end < 0 {
      var nearest = -1
      for column in 0..<n where !done[column] {
        let through = reached + cost[row * n + column] - rowPrice[row] - columnPrice[column]
        if through < distance[column] {
          (distance[column], previousRow[column]) = (through, row)
        }
        if nearest < 0 || distance[column] < distance[nearest] { nearest = column }
      }
      done[nearest] = true
      reached = distance[nearest]
      if rowOfColumn[nearest] < 0 { end = nearest } else { row = rowOfColumn[nearest] }
    }
    rowPrice[start] += reached
    for column in 0..<n where done[column] && column != end {
      rowPrice[rowOfColumn[column]] += reached - distance[column]
      columnPrice[column] -= reached - distance[column]
    }
    var column = end
    while true {
      let row = previousRow[column]
      rowOfColumn[column] = row
      swap(&columnOfRow[row], &column)
      if row == start { return }
    }
  }
}
