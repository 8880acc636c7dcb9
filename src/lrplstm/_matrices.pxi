"""Matrices, packed for the block product."""

from cython cimport floating as real

from libc.string cimport memcpy

from lrplstm._products cimport Product, multiply, multiply_row, panel_vectors

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
    cdef Py_ssize_t itemsize, n, segments, columns, vectors, padded_columns

    def __cinit__(self, matrix, Py_ssize_t segments=1):
        cdef Py_ssize_t width, left, first, panel
        rows, self.columns = matrix.shape
        self.dtype = matrix.dtype
        self.itemsize = self.dtype.itemsize
        width = VECTOR_BYTES // self.itemsize
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
        product.n, product.segments, product.backwards = self.n, self.segments, False


# Compiled once each, not in every loop, which would take as long as the rest.

cdef void _times_rows(const Product* product, const real* panels) noexcept nogil:
    multiply(product, panels)


cdef void _times_row(Product* product, const real* panels) noexcept nogil:
    multiply_row(product, panels)
    product.backwards = not product.backwards


cdef inline void _times_matrix(Product* product, const real* panels) noexcept nogil:
    """See `multiply`."""
    if product.rows == 1:
        _times_row(product, panels)
    else:
        _times_rows(product, panels)


cdef object _product(x, _Matrix matrix, start):
    """Return start + x @ matrix for x of shape (rows, n), contiguous."""
    cdef Py_ssize_t rows = len(x), row, size = matrix.itemsize
    cdef Py_ssize_t stride = matrix.padded_columns * size, wanted = matrix.columns * size
    cdef _Memory padded = _memory(rows * stride, False)
    out = np.empty((rows, matrix.columns), matrix.dtype)
    cdef char* of_row = <char*> _address(out)
    _multiply_rows(
        matrix, <const char*> _address(x), rows, _address(start), padded.start,
        matrix.padded_columns,
    )
    for row in range(rows):
        memcpy(of_row + row * wanted, padded.start + row * stride, wanted)
    return out


cdef int _multiply_rows(
    _Matrix matrix, const char* x, Py_ssize_t rows, const void* start, char* out, Py_ssize_t stride
) except -1:
    """Set rows of `out`, so many numbers apart, to start + x @ matrix."""
    cdef Py_ssize_t size = matrix.itemsize, row = 0, work = 0
    cdef Product product
    matrix.set_product(&product)
    product.x_stride, product.segment_stride, product.y_stride = matrix.n, 0, stride
    product.start, product.start_step, product.start_at = &start, 0, 0
    with nogil:
        while row < rows:
            product.rows = min(<Py_ssize_t> TOGETHER, rows - row)
            product.x, product.y = x + row * matrix.n * size, out + row * stride * size
            if matrix.single:
                _times_matrix(&product, <const float*> product.panels)
            else:
                _times_matrix(&product, <const double*> product.panels)
            row += product.rows
            _poll(&work, product.rows * matrix.n * matrix.padded_columns)
    return 0
