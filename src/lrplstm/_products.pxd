"""The block product that the kernels spend their time in."""

from cython cimport floating as real

from lrplstm._vectors cimport VECTOR_BYTES, double_vector, float_vector

cdef extern from *:
    """
    /* LANES rows times 3 vectors of columns, with a vector of weights and a spread number, fill the
       registers: 8 * 3 of 32 with AVX-512, 4 * 3 of 16 elsewhere. */
    #if defined(__AVX512F__)
    enum { LANES = 8 };
    #else
    enum { LANES = 4 };
    #endif
    enum { MOST_VECTORS = 3, MOST_COLUMNS = MOST_VECTORS * VECTOR_BYTES / sizeof(float) };
    """
    enum: LANES
    enum: MOST_VECTORS
    enum: MOST_COLUMNS

cdef struct Product:
    # y = start + x @ matrix, for rows of float or of double; strides are in numbers.
    #
    # A row of x is `segments` runs of n numbers. The matrix was packed in panels; `vectors` whole
    # vectors are read of a row of start, and written of one of y. Row r starts from what stands
    # `start_at` numbers behind start[r * start_step]: with a step of 0 all rows from the same.
    # A single row goes through the panels `backwards` every other time.
    const void* x
    Py_ssize_t x_stride
    Py_ssize_t segments
    Py_ssize_t segment_stride
    const void* panels
    Py_ssize_t n
    Py_ssize_t vectors
    const void* const* start
    Py_ssize_t start_step
    Py_ssize_t start_at
    void* y
    Py_ssize_t y_stride
    Py_ssize_t rows
    bint backwards


cdef inline Py_ssize_t panel_vectors(Py_ssize_t left) noexcept nogil:
    """How many of the `left` last vectors of columns the next panel takes: 3, or 2 + 2 of 4."""
    return 2 if left == 4 else min(left, <Py_ssize_t> MOST_VECTORS)


cdef inline void _copy(real* y, const real* x) noexcept nogil:
    """y = x, for one vector."""
    if real is float:
        (<float_vector*> y)[0] = (<const float_vector*> x)[0]
    else:
        (<double_vector*> y)[0] = (<const double_vector*> x)[0]


cdef inline void _add_product(real* y, real a, const real* x) noexcept nogil:
    """y += a x, for one vector."""
    if real is float:
        (<float_vector*> y)[0] += a * (<const float_vector*> x)[0]
    else:
        (<double_vector*> y)[0] += a * (<const double_vector*> x)[0]


cdef inline void _multiply_block(
    const Product* p, const real* panel, Py_ssize_t column, Py_ssize_t row, Py_ssize_t rows,
    Py_ssize_t vectors,
) noexcept nogil:
    """The product of at most LANES rows, from `row` on, and of one panel, from `column` on.

    `rows` and `vectors` are constants where this is inlined, so that `sums` are registers. Every
    number of y is added up in the order of the columns of x, whatever the block it is in.
    """
    cdef real sums[LANES][MOST_COLUMNS]
    cdef const real* x = <const real*> p.x + row * p.x_stride
    cdef const void* const* start = p.start + row * p.start_step
    cdef const real* begin
    cdef real* y = <real*> p.y + row * p.y_stride + column
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real), n = p.n, stride = p.x_stride
    cdef Py_ssize_t _segment, k, r, v
    for r in range(rows):
        begin = <const real*> start[r * p.start_step] + p.start_at + column
        for v in range(vectors):
            _copy(&sums[r][v * width], begin + v * width)
    for _segment in range(p.segments):
        for k in range(n):
            for r in range(rows):
                for v in range(vectors):
                    _add_product(&sums[r][v * width], x[r * stride + k], panel + v * width)
            panel += vectors * width
        x += p.segment_stride
    for r in range(rows):
        for v in range(vectors):
            _copy(y + r * p.y_stride + v * width, &sums[r][v * width])


cdef inline void _multiply_panel(
    const Product* p, const real* panel, Py_ssize_t column, Py_ssize_t vectors
) noexcept nogil:
    """The product of one panel, for any number of rows, in blocks of LANES, 4, 3, 2 and 1."""
    cdef Py_ssize_t row = 0, left
    while row < p.rows:
        left = p.rows - row
        if left >= LANES:
            _multiply_block(p, panel, column, row, LANES, vectors)
            row += LANES
        elif left >= 4:
            _multiply_block(p, panel, column, row, 4, vectors)
            row += 4
        elif left == 3:
            _multiply_block(p, panel, column, row, 3, vectors)
            row += 3
        elif left == 2:
            _multiply_block(p, panel, column, row, 2, vectors)
            row += 2
        else:
            _multiply_block(p, panel, column, row, 1, vectors)
            row += 1


cdef inline void multiply(const Product* p, const real* panels) noexcept nogil:
    """Set the rows of y; see `Product`, whose panels these are."""
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real), column = 0, left = p.vectors, vectors
    while left > 0:
        vectors = panel_vectors(left)
        if vectors == 3:
            _multiply_panel(p, panels, column, 3)
        elif vectors == 2:
            _multiply_panel(p, panels, column, 2)
        else:
            _multiply_panel(p, panels, column, 1)
        panels += p.segments * p.n * vectors * width
        column += vectors * width
        left -= vectors


cdef inline void _multiply_panels(
    const Product* p, const real* panels, Py_ssize_t column, Py_ssize_t number, Py_ssize_t vectors
) noexcept nogil:
    """The product of a single row and of `number` panels, which is a constant, too."""
    cdef real sums[2 * MOST_COLUMNS]
    cdef const real* x = <const real*> p.x
    cdef const real* begin = <const real*> p.start[0] + p.start_at + column
    cdef real* y = <real*> p.y + column
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real)
    cdef Py_ssize_t panel = p.segments * p.n * vectors * width, _segment, k, i, v
    for v in range(number * vectors):
        _copy(&sums[v * width], begin + v * width)
    for _segment in range(p.segments):
        for k in range(p.n):
            for i in range(number):
                for v in range(vectors):
                    _add_product(
                        &sums[(i * vectors + v) * width], x[k], panels + i * panel + v * width
                    )
            panels += vectors * width
        x += p.segment_stride
    for v in range(number * vectors):
        _copy(y + v * width, &sums[v * width])


cdef inline void multiply_row(const Product* p, const real* panels) noexcept nogil:
    """The same of a single row, which reads the whole matrix.

    Two panels are taken at once, since the sums of one would wait for each other; and all of them
    back and forth, since those that were read last are still in the cache.
    """
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real), size = p.segments * p.n * width
    cdef Py_ssize_t left = p.vectors % 3, wide, number, i, first
    if left == 1 and p.vectors > 1:  # see `panel_vectors`
        left = 4
    wide = p.vectors - left
    number = (wide + 5) // 6 + (left > 0)
    for i in range(number):
        first = min(6 * (number - 1 - i if p.backwards else i), wide)
        if first + 6 <= wide:
            _multiply_panels(p, panels + first * size, first * width, 2, 3)
        elif first < wide:
            _multiply_panels(p, panels + first * size, first * width, 1, 3)
        elif left == 4:
            _multiply_panels(p, panels + first * size, first * width, 2, 2)
        elif left == 2:
            _multiply_panels(p, panels + first * size, first * width, 1, 2)
        else:
            _multiply_panels(p, panels + first * size, first * width, 1, 1)
