"""Matrices, packed for the block product."""

from cython cimport floating as real

from lrplstm._products cimport Product, multiply, panel_vectors

# So many rows go through a product together: they and a panel stay in the cache.
cdef enum:
    TOGETHER = 128


cdef class _Matrix:
    """A matrix, packed in panels of a few vectors of columns.

    Its rows are `segments` runs of `n`.
    """

    cdef object panels, dtype
    cdef const void* data
    cdef bint single
    cdef Py_ssize_t n, segments, columns, vectors, padded_columns

    def __cinit__(self, matrix, Py_ssize_t segments=1):
        cdef Py_ssize_t width = VECTOR_BYTES // matrix.dtype.itemsize, left, first, panel
        rows, self.columns = matrix.shape
        self.dtype = matrix.dtype
        self.single = self.dtype == np.float32
        self.n, self.segments = rows // segments, segments
        self.vectors = left = _round_up(self.columns, width) // width
        self.padded_columns = left * width
        padded = np.zeros((rows, self.padded_columns), self.dtype)
        padded[:, :self.columns] = matrix
        self.panels = _zeros((padded.size,), self.dtype)
        first = 0
        while left > 0:
            panel = panel_vectors(left)
            columns = padded[:, first * width:(first + panel) * width]
            self.panels[first * width * rows:(first + panel) * width * rows] = columns.ravel()
            first += panel
            left -= panel
        self.data = _address(self.panels)

    cdef void set_product(self, Product* product) noexcept:
        """Fill in what a product needs to know of the matrix."""
        product.panels, product.vectors = self.data, self.vectors
        product.n, product.segments = self.n, self.segments


cdef void _times_matrix(Product* product, const real* panels) noexcept nogil:
    """See `multiply`: compiled once, not in every loop, which would take as long as the rest."""
    multiply(product, panels)


cdef object _product(x, _Matrix matrix, start):
    """Return start + x @ matrix for x of shape (rows, n)."""
    out = np.empty((len(x), matrix.padded_columns), matrix.dtype)
    _multiply_rows(x, matrix, start, out, 0)
    return out[:, :matrix.columns]


cdef int _multiply_rows(x, _Matrix matrix, start, out, Py_ssize_t column) except -1:
    """Set columns of `out`, from `column` on, to start + x @ matrix."""
    if matrix.single:
        return _multiply[float](x, matrix, start, out, column)
    return _multiply[double](x, matrix, start, out, column)


cdef int _multiply(
    const real[:, ::1] x, _Matrix matrix, const real[::1] start, real[:, ::1] out, Py_ssize_t column
) except -1:
    cdef Py_ssize_t n = matrix.n, row = 0, work = 0
    cdef const void* start_row = &start[0]
    cdef Product product
    matrix.set_product(&product)
    product.x_stride, product.segment_stride, product.y_stride = n, 0, out.shape[1]
    product.start, product.start_step, product.start_at = &start_row, 0, 0
    with nogil:
        while row < x.shape[0]:
            product.rows = min(<Py_ssize_t> TOGETHER, x.shape[0] - row)
            product.x, product.y = &x[row, 0], &out[row, column]
            _times_matrix(&product, <const real*> product.panels)
            row += product.rows
            _poll(&work, product.rows * n * matrix.padded_columns)
    return 0
