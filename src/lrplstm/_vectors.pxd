"""Whole vectors of the processor, and the block product that the kernels spend their time in.

How wide a vector is depends on the instruction set that a build is for; nothing else does.
"""

from cython cimport floating as real

cdef extern from *:
    """
    /* LANES rows times 3 vectors of columns, with a vector of weights and a spread number, fill the
       registers: 8 * 3 of 32 with AVX-512, 4 * 3 of 16 elsewhere. */
    #if defined(__AVX512F__)
    enum { VECTOR_BYTES = 64, LANES = 8 };
    #elif defined(__AVX__)
    enum { VECTOR_BYTES = 32, LANES = 4 };
    #else
    enum { VECTOR_BYTES = 16, LANES = 4 };
    #endif
    enum { MOST_VECTORS = 3, MOST_COLUMNS = MOST_VECTORS * VECTOR_BYTES / sizeof(float) };

    typedef float float_vector __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    typedef double double_vector __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));

    static inline void float_copy(float *y, const float *x) {
        *(float_vector *)y = *(const float_vector *)x;
    }
    static inline void double_copy(double *y, const double *x) {
        *(double_vector *)y = *(const double_vector *)x;
    }
    static inline void float_add_product(float *y, float a, const float *x) {
        *(float_vector *)y += a * *(const float_vector *)x;
    }
    static inline void double_add_product(double *y, double a, const double *x) {
        *(double_vector *)y += a * *(const double_vector *)x;
    }
    """
    enum: VECTOR_BYTES
    enum: LANES
    enum: MOST_VECTORS
    enum: MOST_COLUMNS
    void __builtin_prefetch(const void* address) nogil
    void float_copy(float* y, const float* x) nogil
    void double_copy(double* y, const double* x) nogil
    void float_add_product(float* y, float a, const float* x) nogil
    void double_add_product(double* y, double a, const double* x) nogil


cdef inline void copy_vector(real* y, const real* x) noexcept nogil:
    """y = x, for one vector."""
    if real is float:
        float_copy(y, x)
    else:
        double_copy(y, x)


cdef inline void add_product(real* y, real a, const real* x) noexcept nogil:
    """y += a x, for one vector."""
    if real is float:
        float_add_product(y, a, x)
    else:
        double_add_product(y, a, x)


cdef inline void prefetch(const real* x, Py_ssize_t n) noexcept nogil:
    """Have n numbers brought into the cache."""
    cdef Py_ssize_t line, lines = n * <Py_ssize_t> sizeof(real) // 64
    for line in range(lines):
        __builtin_prefetch(<const char*> x + 64 * line)


cdef inline Py_ssize_t panel_vectors(Py_ssize_t left) noexcept nogil:
    """How many of the `left` last vectors of columns the next panel takes: 3, or 2 + 2 of 4."""
    return 2 if left == 4 else min(left, <Py_ssize_t> MOST_VECTORS)


cdef inline void _multiply_block(
    const real* x, Py_ssize_t x_stride, Py_ssize_t segments, Py_ssize_t segment_stride,
    const real* panel, Py_ssize_t n, const real* start, const Py_ssize_t* start_offsets,
    real* y, Py_ssize_t y_stride, Py_ssize_t rows, Py_ssize_t vectors,
) noexcept nogil:
    """y = start + x @ panel for at most LANES rows and 3 vectors of columns.

    `rows` and `vectors` are constants where this is inlined, so that `sums` are registers. Every
    number of y is added up in the order of the columns of x, whatever the block it is in.
    """
    cdef real sums[LANES][MOST_COLUMNS]
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real), segment, k, r, v
    for r in range(rows):
        for v in range(vectors):
            copy_vector(&sums[r][v * width], start + start_offsets[r] + v * width)
    for segment in range(segments):
        for k in range(n):
            for r in range(rows):
                for v in range(vectors):
                    add_product(
                        &sums[r][v * width],
                        x[r * x_stride + segment * segment_stride + k],
                        panel + v * width,
                    )
            panel += vectors * width
    for r in range(rows):
        for v in range(vectors):
            copy_vector(y + r * y_stride + v * width, &sums[r][v * width])


cdef inline void _multiply_panel(
    const real* x, Py_ssize_t x_stride, Py_ssize_t segments, Py_ssize_t segment_stride,
    const real* panel, Py_ssize_t n, const real* start, const Py_ssize_t* start_offsets,
    real* y, Py_ssize_t y_stride, Py_ssize_t rows, Py_ssize_t vectors,
) noexcept nogil:
    """y = start + x @ panel for any number of rows, in blocks of LANES, 4, 2 and 1."""
    cdef Py_ssize_t block, r = 0
    while r < rows:
        if rows - r >= LANES:
            block = LANES
            _multiply_block(
                x + r * x_stride, x_stride, segments, segment_stride, panel, n,
                start, start_offsets + r, y + r * y_stride, y_stride, LANES, vectors,
            )
        elif rows - r >= 4:
            block = 4
            _multiply_block(
                x + r * x_stride, x_stride, segments, segment_stride, panel, n,
                start, start_offsets + r, y + r * y_stride, y_stride, 4, vectors,
            )
        elif rows - r >= 2:
            block = 2
            _multiply_block(
                x + r * x_stride, x_stride, segments, segment_stride, panel, n,
                start, start_offsets + r, y + r * y_stride, y_stride, 2, vectors,
            )
        else:
            block = 1
            _multiply_block(
                x + r * x_stride, x_stride, segments, segment_stride, panel, n,
                start, start_offsets + r, y + r * y_stride, y_stride, 1, vectors,
            )
        r += block


cdef inline void multiply(
    const real* x, Py_ssize_t x_stride, Py_ssize_t segments, Py_ssize_t segment_stride,
    const real* panels, Py_ssize_t n, Py_ssize_t vectors,
    const real* start, const Py_ssize_t* start_offsets,
    real* y, Py_ssize_t y_stride, Py_ssize_t rows,
) noexcept nogil:
    """y = start + x @ matrix, for a matrix that was packed in panels.

    A row of x is `segments` runs of n numbers, `segment_stride` apart. Row r of `start` begins at
    `start_offsets[r]`. Rows of y and of start are read and written in whole vectors: `vectors` of
    them.
    """
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real), taken
    while vectors > 0:
        taken = panel_vectors(vectors)
        if taken == 3:
            _multiply_panel(
                x, x_stride, segments, segment_stride, panels, n, start, start_offsets,
                y, y_stride, rows, 3,
            )
        elif taken == 2:
            _multiply_panel(
                x, x_stride, segments, segment_stride, panels, n, start, start_offsets,
                y, y_stride, rows, 2,
            )
        else:
            _multiply_panel(
                x, x_stride, segments, segment_stride, panels, n, start, start_offsets,
                y, y_stride, rows, 1,
            )
        panels += segments * n * taken * width
        start += taken * width
        y += taken * width
        vectors -= taken
