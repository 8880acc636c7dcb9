"""What comes back to hidden and initial states, the same for every cell.

A hidden state may be a projection of what the cell gives, h = W_hr m. A driver then takes what has
come back to h through these steps and the product with W_hr, and a cell finds what it hands on to m
where it looks for that of its h.
"""

from lrplstm._rules cimport kept
from lrplstm._tiles cimport CARRIED, HANDED, STARTED, Tile
from lrplstm._vectors cimport fill, quotient, total, vector


cdef inline void relevance_of_projection(Tile* tile, vector* rows) noexcept nogil:
    """Take relevance of h_t to its q, in the place of `STARTED`: no bias, H units."""
    cdef Py_ssize_t n = tile.n, r, u
    cdef const vector* mask = <const vector*> tile.mask_of_h
    cdef const vector* h
    cdef const vector* h_t
    cdef vector* row
    cdef vector epsilon, nothing, R, share, shares
    fill(&epsilon, tile.rule.epsilon)
    fill(&nothing, 0)
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + r * tile.row
        h = <const vector*> tile.h[r // tile.targets]
        h_t = <const vector*> tile.trace[r // tile.targets] + (tile.given + 1) * n
        fill(&share, tile.share[r])
        shares = nothing
        for u in range(n):
            R = h[u] * row[HANDED * n + u] + share * mask[u]
            if tile.from_hidden:
                R = R + row[STARTED * n + u]
            R = quotient(h_t[u], R, epsilon)
            row[STARTED * n + u] = R
            shares = shares + kept(R, h_t[u], nothing, &tile.rule)
        tile.share[r] = total(shares) / tile.hidden_size


cdef inline void gradient_of_projection(Tile* tile, vector* rows) noexcept nogil:
    """Put the gradient of h_t in the place of `STARTED`."""
    cdef Py_ssize_t n = tile.n, r, u
    cdef vector* row
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + r * tile.row
        for u in range(n):
            if tile.from_hidden:
                row[STARTED * n + u] = row[STARTED * n + u] + row[HANDED * n + u]
            else:
                row[STARTED * n + u] = row[HANDED * n + u]


cdef inline void end_relevance(
    Tile* tile, Py_ssize_t r, vector* row, bint carries_h
) noexcept nogil:
    """Relevance of the initial states: of h_{-1} what its product and share hand on.

    What is carried is that of c_{-1}, or where a cell has h alone another part of that of h_{-1}.
    """
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* mask = <const vector*> tile.mask_of_h
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
