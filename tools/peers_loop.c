/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small products of peer libraries, called from C many times in a row: a call through Python costs
 * more than they do. `./dev deps --peers` builds it with libxsmm into build/peers; bench_blas.py
 * loads it. Matrices are row-major, alpha 1, beta 0.
 */
#include <libxsmm.h>

typedef void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                      int lda, const float *b, int ldb, float beta, float *c, int ldc);

void peers_loop_cblas(sgemm f, int m, int n, int k, const float *a, const float *b, float *c,
                      int times);
int peers_loop_libxsmm(int m, int n, int k, const float *a, const float *b, float *c, int times);

void peers_loop_cblas(sgemm f, int m, int n, int k, const float *a, const float *b, float *c,
                      int times) {
    enum { ROW_MAJOR = 101, PLAIN = 111 };
    for (int i = 0; i < times; i++) {
        f(ROW_MAJOR, PLAIN, PLAIN, m, n, k, 1, a, k, b, n, 0, c, n);
    }
}

/* libxsmm is column-major: C' = B' A'. 0: it has no code for this shape. */
int peers_loop_libxsmm(int m, int n, int k, const float *a, const float *b, float *c, int times) {
    float alpha = 1, beta = 0;
    libxsmm_smmfunction f =
        libxsmm_smmdispatch(n, m, k, NULL, NULL, NULL, &alpha, &beta, NULL, NULL);
    for (int i = 0; f != NULL && i < times; i++) {
        f(b, a, c);
    }
    return f != NULL;
}
