import CBLAS
import CDNNL

/// Single-precision matrix products, row-major.
///
/// oneDNN computes every shape on x86-64: measured on Cascade Lake and on Zen 4 it is ahead of
/// OpenBLAS over the shapes of DiT (by 5 to 15 %, and by 2 × where there are few rows), except for
/// products with a single row or column, which are matrix-vector products and go to OpenBLAS. On
/// other processors oneDNN has no generated code and OpenBLAS computes everything. The choice is a
/// function of the shape alone, so that equal shapes give equal bits.
public enum Gemm {
  public enum Layout: Sendable { case normal, transposed }

  /// C = alpha·op(A)·op(B) + beta·C with op(A) m×k, op(B) k×n, C m×n; `ld…` are row strides.
  ///
  /// Inside a parallel region it runs on the calling thread, otherwise on the engine's team.
  public static func multiply(
    _ layoutA: Layout, _ layoutB: Layout, m: Int, n: Int, k: Int, alpha: Float = 1,
    _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>, _ ldb: Int, beta: Float,
    _ c: UnsafeMutablePointer<Float>, _ ldc: Int
  ) {
    if m == 0 || n == 0 { return }
    #if arch(x86_64)
      if m > 1 && n > 1 && k > 0 {
        let status = dnnl_sgemm(
          layoutA.flag, layoutB.flag, dnnl_dim_t(m), dnnl_dim_t(n), dnnl_dim_t(k), alpha,
          a, dnnl_dim_t(lda), b, dnnl_dim_t(ldb), beta, c, dnnl_dim_t(ldc))
        precondition(status == dnnl_success, "dnnl_sgemm \(m)×\(n)×\(k): status \(status.rawValue)")
        return
      }
    #endif
    cblas_sgemm(
      CblasRowMajor, layoutA.blas, layoutB.blas, blasint(m), blasint(n), blasint(k), alpha,
      a, blasint(lda), b, blasint(ldb), beta, c, blasint(ldc))
  }

  /// True if the BLAS at run time shares the engine's OpenMP team (the openmp flavour of OpenBLAS;
  /// the pthread flavour makes threads of its own and costs 7 to 45 % of a step).
  public static var sharesThreadTeam: Bool { openblas_get_parallel() == 2 }
}

extension Gemm.Layout {
  fileprivate var flag: CChar { self == .normal ? 78 : 84 }  // 'N', 'T'
  fileprivate var blas: CBLAS_TRANSPOSE { self == .normal ? CblasNoTrans : CblasTrans }
}
