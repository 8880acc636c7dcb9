"""What comes back to the states, the same for every cell."""

from lrplstm._tiles cimport CARRIED, HANDED, Tile
from lrplstm._vectors cimport fill, total, vector


cdef inline void end_relevance(
    Tile* tile, Py_ssize_t r, vector* row, bint carries_h
) noexcept nogil:
    """Relevance of the initial states: of h_{-1} what its product and share hand on.

    What is carried is that of c_{-1}, or where a cell has h alone another part of that of h_{-1}.
    """
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* h = <const vector*> tile.h[r // tile.targets]
    cdef vector share, R
    fill(&share, tile.share[r])
    fill(&R, 0)
    for u in range(n):
        row[HANDED * n + u] = h[u] * row[HANDED * n + u] + share * mask[u]
        R = R + row[HANDED * n + u] + row[CARRIED * n + u]
    tile.token[r] = total(R)
    if carries_h:
        end_gradient(tile, row)


cdef inline void end_gradient(Tile* tile, vector* row) noexcept nogil:
    """The gradient of h_{-1} has two parts where a cell has h alone."""
    cdef Py_ssize_t n = tile.n, u
    for u in range(n):
        row[HANDED * n + u] = row[HANDED * n + u] + row[CARRIED * n + u]
