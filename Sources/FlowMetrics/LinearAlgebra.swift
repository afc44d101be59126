import CBLAS
import FlowTensor

// Dense matrices in Double, row-major, on LAPACK.

/// C = op(A)·op(B): op(A) is m×k, op(B) k×n.
func product(
  _ a: [Double], _ b: [Double], transposingA ta: Bool = false, transposingB tb: Bool = false,
  m: Int, n: Int, k: Int
) -> [Double] {
  precondition(a.count == m * k && b.count == k * n, "product of \(a.count) and \(b.count)")
  var c = [Double](repeating: 0, count: m * n)
  if m == 0 || n == 0 || k == 0 { return c }
  cblas_dgemm(
    CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, blasint(m),
    blasint(n), blasint(k), 1, a, blasint(ta ? m : k), b, blasint(tb ? k : n), 0, &c, blasint(n))
  return c
}

func trace(_ a: [Double], _ d: Int) -> Double {
  (0..<d).reduce(0.0) { $0 + a[$1 * d + $1] }
}

/// Eigenvalues in rising order and, if asked for, the eigenvectors row by row, of a symmetric d×d
/// matrix of which the upper triangle is read.
func symmetricEigen(
  _ a: [Double], _ d: Int, vectors: Bool
) -> (values: [Double], vectors: [Double]) {
  precondition(a.count == d * d, "\(a.count) elements of a \(d)×\(d) matrix")
  var matrix = a
  var values = [Double](repeating: 0, count: d)
  if d == 0 { return (values, matrix) }
  var n = Int32(d)
  var info: Int32 = 0
  let job: [CChar] = [vectors ? 86 : 78]  // 'V' or 'N'
  let triangle: [CChar] = [76]  // 'L' of the column-major matrix: our upper triangle
  var (size, integerSize) = (Int32(-1), Int32(-1))
  var (best, bestInteger) = (0.0, Int32(0))
  dsyevd_(
    job, triangle, &n, &matrix, &n, &values, &best, &size, &bestInteger, &integerSize, &info)
  (size, integerSize) = (Int32(best), bestInteger)
  var work = [Double](repeating: 0, count: max(1, Int(size)))
  var integers = [Int32](repeating: 0, count: max(1, Int(integerSize)))
  dsyevd_(
    job, triangle, &n, &matrix, &n, &values, &work, &size, &integers, &integerSize, &info)
  precondition(info == 0, "dsyevd of \(d)×\(d): info \(info)")
  return (values, matrix)
}

/// Singular values of an m×n matrix, largest first.
func singularValues(_ a: [Double], m: Int, n: Int) -> [Double] {
  precondition(a.count == m * n, "\(a.count) elements of a \(m)×\(n) matrix")
  let count = min(m, n)
  var values = [Double](repeating: 0, count: count)
  if count == 0 { return values }
  var matrix = a
  var (rows, columns, one) = (Int32(n), Int32(m), Int32(1))  // column-major: the transpose
  var info: Int32 = 0
  let job: [CChar] = [78]  // 'N'
  var integers = [Int32](repeating: 0, count: 8 * count)
  var (size, best) = (Int32(-1), 0.0)
  var (u, v) = ([0.0], [0.0])  // not asked for
  dgesdd_(
    job, &rows, &columns, &matrix, &rows, &values, &u, &one, &v, &one, &best, &size, &integers,
    &info)
  size = Int32(best)
  var work = [Double](repeating: 0, count: max(1, Int(size)))
  dgesdd_(
    job, &rows, &columns, &matrix, &rows, &values, &u, &one, &v, &one, &work, &size, &integers,
    &info)
  precondition(info == 0, "dgesdd of \(m)×\(n): info \(info)")
  return values
}

/// x of A·x = b for a symmetric positive definite d×d matrix, of which the upper triangle is read.
func solved(_ a: [Double], _ b: [Double]) -> [Double] {
  let d = b.count
  precondition(a.count == d * d, "\(a.count) elements of a \(d)×\(d) matrix")
  var (matrix, x) = (a, b)
  var (n, one, info) = (Int32(d), Int32(1), Int32(0))
  dposv_([76], &n, &one, &matrix, &n, &x, &n, &info)  // 'L' of the column-major matrix
  precondition(info == 0, "dposv of \(d)×\(d): info \(info)")
  return x
}
