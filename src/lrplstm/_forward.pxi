"""The forward driver: one loop over directions, tiles and steps, for every cell.

It also takes the part of the states that comes from some inputs through the layer, for contextual
decomposition: that is another step of the cell, on copies of the sequences.
"""

from cython cimport floating as real

from libc.string cimport memcpy

from lrplstm._products cimport Product
from lrplstm._tiles cimport MOST_STAGES, NOTHING, SPARE_ROWS, Stage, Step, Tile
from lrplstm._vectors cimport add, double_vector, float_vector, prefetch

from lrplstm.scans import KEEP, DecomposeResult, ForwardResult

_TRACES = {
    "nothing": NOTHING,
    "states": NOTHING,
    "relevance": FOR_RELEVANCE,
    "gates": FOR_GATES,
    "gradient": FOR_GRADIENT,
}


cdef class _Trace:
    """What a forward scan leaves for the way back, out of reach for everybody else."""

    cdef _Layer layer
    cdef object projection, rows, offsets, kept
    cdef str keep


cdef class _Run:
    """What the forward driver reads and writes."""

    cdef _Layer layer
    cdef object projection, rows, offsets
    # Where states begin that are not the initial ones: of each of the cell's an array, or None.
    cdef list start
    # A decomposition reads a trace, of each step a row of it, which may be that of another copy.
    cdef bint decomposes
    cdef object owner, originals, phrase
    # Of the last step, and of every step of each state, or None.
    cdef object final
    cdef list states
    # The trace that is written, or read, or None; and what it keeps.
    cdef object trace
    cdef int keep


def forward_scan(
    _Layer layer not None, projection, rows, offsets, str keep, bint hidden, start=None
):
    """Run the cell over every sequence; see `lrplstm.scans`."""
    cdef _Trace trace
    cdef _Run run = _Run()
    if keep not in KEEP:
        raise ValueError(f"keep: expected one of {KEEP}, got {keep!r}")
    projection = _check_rows("projection", projection, layer.projected(), layer.dtype)
    _check_steps(rows, offsets, len(projection))
    B, steps, number = len(offsets) - 1, len(rows), layer.cell.states
    run.layer, run.projection, run.rows, run.offsets = layer, projection, rows, offsets
    run.keep = _TRACES[keep]
    run.start = [None] * number if start is None else _check_start(layer, start, B, keep)
    run.final = np.empty((B, layer.width), layer.dtype)
    run.states = [
        np.empty((steps, layer.width), layer.dtype)
        if keep == "states" or (hidden and state == 0) else None
        for state in range(number)
    ]
    if run.keep != NOTHING:
        shape = (len(layer.directions), steps, layer.cell.trace_rows[run.keep], layer.padded)
        run.trace = _aligned(np.empty, shape, layer.dtype)
    _run_forward(run)
    states = run.states[0] if hidden else None
    if keep == "states":
        return ForwardResult(run.final, states, None, tuple(run.states))
    if keep == "nothing":
        return ForwardResult(run.final, states, None)
    trace = _Trace()
    trace.layer, trace.projection, trace.keep, trace.kept = layer, projection, keep, run.trace
    # Copies: whoever changes the arrays does not change where the way back reads.
    trace.rows, trace.offsets = rows.copy(), offsets.copy()
    return ForwardResult(run.final, states, trace)


cdef list _check_start(_Layer layer, start, Py_ssize_t B, str keep):
    """Check the states that sequences begin from."""
    if keep not in ("nothing", "states"):
        raise ValueError(f"keep: expected 'nothing' or 'states' with a start, got {keep!r}")
    if not isinstance(start, tuple) or len(start) != layer.cell.states:
        raise TypeError(f"start: expected {layer.cell.states} arrays, one of each state")
    for state in start:
        _check("start", state, (B, layer.width), layer.dtype)
    return [_contiguous(state) for state in start]


def decompose_scan(
    _Trace trace not None, owner, relevant, rows, phrase, offsets, bint hidden
):
    """Follow the part of the states that comes from some inputs; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _Run run = _Run()
    if trace.keep != "gates":
        raise ValueError(f"trace: expected one that kept 'gates', got {trace.keep!r}")
    relevant = _check_rows("relevant", relevant, layer.projected(), layer.dtype)
    _check_steps(rows, offsets, len(relevant))
    _check_indices("owner", owner)
    _check_copies(owner, offsets, trace.offsets)
    _check("phrase", phrase, (len(rows),), np.dtype(bool))
    run.layer, run.projection, run.rows, run.offsets = layer, relevant, rows, offsets
    run.decomposes, run.owner, run.originals = True, owner, trace.offsets
    run.phrase = _contiguous(phrase).view(np.uint8)
    run.keep, run.trace = FOR_GATES, trace.kept
    run.start = [None] * layer.cell.states
    run.final = np.empty((len(owner), layer.width), layer.dtype)
    run.states = [None] * layer.cell.states
    if hidden:
        run.states[0] = np.empty((len(rows), layer.width), layer.dtype)
    _run_forward(run)
    return DecomposeResult(run.final, run.states[0])


cdef int _check_copies(
    const Py_ssize_t[::1] owner, const Py_ssize_t[::1] offsets, const Py_ssize_t[::1] originals
) except -1:
    """Check that each copy is of one of the sequences, and not longer."""
    cdef Py_ssize_t k, B = originals.shape[0] - 1
    if owner.shape[0] != offsets.shape[0] - 1:
        raise ValueError(f"owner: expected {offsets.shape[0] - 1} numbers, got {owner.shape[0]}")
    for k in range(owner.shape[0]):
        if owner[k] < 0 or owner[k] >= B:
            raise ValueError(f"owner: expected 0 <= owner < {B}, got {owner[k]}")
        if _length(offsets, k) > _length(originals, owner[k]):
            raise ValueError(f"offsets: expected copy {k} to be no longer than its sequence")
    return 0


# The driver -------------------------------------------------------------------------------------

# So many lanes go through product and cell together.
cdef enum:
    AT_ONCE = 8


cdef inline Py_ssize_t _work(Py_ssize_t rows, Py_ssize_t units, Py_ssize_t columns) noexcept nogil:
    """Multiplications of a step: a product for each unit, and its functions, as long as 32."""
    return rows * units * (columns + 32)


cdef inline Py_ssize_t _step(
    const Py_ssize_t[::1] offsets, Py_ssize_t b, Py_ssize_t s, bint reverse
) except -1 nogil:
    """Where the s-th step that a direction reads of sequence b stands among all steps."""
    return offsets[b + 1] - 1 - s if reverse else offsets[b] + s


cdef inline void _take(const Step* step, Tile* tile, real* rows) noexcept nogil:
    """Take the lanes of a tile through a step of the cell."""
    if real is float:
        step.of_floats(tile, <float_vector*> rows)
    else:
        step.of_doubles(tile, <double_vector*> rows)


cdef struct States:
    # Of each of a cell's states where it begins, and where that of every step is put or NULL.
    Py_ssize_t number
    Py_ssize_t width
    Py_ssize_t first
    # Rows of each sequence, `width` numbers apart; or one padded row for all of them.
    const void* start[MOST_STATES]
    const void* initial[MOST_STATES]
    void* kept[MOST_STATES]


cdef int _run_forward(_Run run) except -1:
    """For each lane there is a row of pre-activations and the cell's states."""
    cdef _Layer layer = run.layer
    columns = layer.stride + (layer.cell.states + layer.cell.own) * layer.padded
    lanes = _zeros((min(len(run.offsets) - 1, layer.lanes), columns), layer.dtype)
    trace_rows = None if run.originals is None else _trace_rows(run.originals, layer.lanes)
    if layer.single:
        return _forward[float](run, run.projection, lanes, run.trace, trace_rows)
    return _forward[double](run, run.projection, lanes, run.trace, trace_rows)


cdef int _forward(
    _Run run, const real[:, ::1] projection, real[:, ::1] scratch, real[:, :, :, ::1] trace,
    const Py_ssize_t[::1] trace_rows,
) except -1:
    cdef _Layer layer = run.layer
    cdef _Direction direction
    cdef const Py_ssize_t[::1] rows = run.rows
    cdef const Py_ssize_t[::1] offsets = run.offsets
    cdef const Py_ssize_t[::1] owner = run.owner
    cdef const Py_ssize_t[::1] originals = run.originals
    cdef const unsigned char[::1] phrase = run.phrase
    cdef real[:, ::1] final = run.final
    cdef Py_ssize_t H = layer.hidden_size, padded = layer.padded, stride = layer.stride
    cdef Py_ssize_t B = offsets.shape[0] - 1, lanes = scratch.shape[0]
    cdef Py_ssize_t d, first, active, s, lane, t, row, i, work = 0
    cdef bint started = run.start[0] is not None, keeps_states = run.states[0] is not None
    cdef const Stage* stage
    cdef States states
    cdef Product product[MOST_STAGES]
    cdef Tile tile
    spare = _zeros((SPARE_ROWS * padded,), layer.dtype)
    _find_states(run, &states)
    layer.set_tile(&tile, scratch.shape[1], _address(spare))
    tile.keep = run.keep
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        _begin(run, direction, &states, &tile)
        for i in range(layer.cell.stages):
            direction.set_product(i, &product[i])
            product[i].x_stride = product[i].y_stride = scratch.shape[1]
            product[i].start_at = layer.cell.stage[i].writes * H
        row = first = 0
        with nogil:
            if run.decomposes:
                _take[real](&layer.cell.begin_decompose, &tile, &scratch[0, 0])
            while first < B:
                active = min(lanes, B - first)
                for lane in range(active):
                    _begin_states(&states, first + lane, &scratch[lane, stride], H, padded)
                s = 0
                while True:
                    while active > 0 and _length(offsets, first + active - 1) <= s:
                        active -= 1
                    if active == 0:
                        break
                    # Some lanes at a time, whose pre-activations stay in the cache.
                    tile.first = 0
                    while tile.first < active:
                        tile.end = min(tile.first + <Py_ssize_t> AT_ONCE, active)
                        for lane in range(tile.first, tile.end):
                            t = _step(offsets, first + lane, s, direction.reverse)
                            tile.projection[lane] = &projection[rows[t], direction.first_projected]
                            if run.decomposes:
                                tile.in_phrase[lane] = phrase[t]
                                # The last of the steps that the direction reads of the original.
                                t = originals[owner[first + lane] + 1]
                                t -= _length(offsets, first + lane)
                                tile.trace[lane] = &trace[d, trace_rows[t + s], 0, 0]
                            elif tile.keep != NOTHING:
                                tile.trace[lane] = &trace[d, row, 0, 0]
                                row += 1
                            if _length(offsets, first + lane) > s + 1:
                                t = _step(offsets, first + lane, s + 1, direction.reverse)
                                prefetch(&projection[rows[t], direction.first_projected], stride)
                        lane = tile.first
                        for i in range(layer.cell.stages):
                            stage = &layer.cell.stage[i]
                            if s == 0 and i == 0 and not started:
                                _add_initial(&tile, &scratch[0, 0], stride)
                            else:  # a = W_ih x_t + b + W_hh h_{t-1}
                                product[i].start = &tile.projection[lane]
                                product[i].x = &scratch[lane, stride + stage.recurrent.at * padded]
                                product[i].y = &scratch[lane, stage.writes * H]
                                product[i].rows = tile.end - lane
                                _times_matrix(&product[i], <const real*> product[i].panels)
                            _take[real](
                                &stage.decompose if run.decomposes else &stage.forward,
                                &tile, &scratch[0, 0],
                            )
                        if keeps_states:
                            for lane in range(tile.first, tile.end):
                                t = _step(offsets, first + lane, s, direction.reverse)
                                _keep_states(&states, t, &scratch[lane, stride], H, padded)
                        tile.first = tile.end
                    # Those that end here.
                    s += 1
                    for lane in range(active - 1, -1, -1):
                        if _length(offsets, first + lane) > s:
                            break
                        memcpy(
                            &final[first + lane, direction.first_state], &scratch[lane, stride],
                            H * sizeof(real),
                        )
                    _poll(&work, _work(active, layer.cell.gates * padded, H))
                first += lanes
    return 0


cdef int _find_states(_Run run, States* states) except -1:
    cdef Py_ssize_t i
    states.number, states.width = run.layer.cell.states, run.layer.width
    for i in range(states.number):
        states.start[i] = NULL if run.start[i] is None else _address(run.start[i])
        states.kept[i] = NULL if run.states[i] is None else _address(run.states[i])
    return 0


cdef void _begin(_Run run, _Direction direction, States* states, Tile* tile) noexcept:
    """Set what a direction begins with; what is relevant of its initial states is nothing."""
    cdef Py_ssize_t i
    states.first = direction.first_state
    tile.bias, tile.initial_projected = direction.bias, direction.initial_projected
    if run.decomposes:
        tile.initial_projected = run.layer.zero
    for i in range(states.number):
        states.initial[i] = run.layer.zero if run.decomposes else direction.initial[i]


cdef inline void _begin_states(
    const States* states, Py_ssize_t b, real* row, Py_ssize_t H, Py_ssize_t padded
) noexcept nogil:
    """Set the states of a lane, which stand one after the other, to those of sequence b."""
    cdef Py_ssize_t i
    cdef const real* start
    for i in range(states.number):
        memcpy(row + i * padded, states.initial[i], padded * sizeof(real))
        if states.start[i] != NULL:
            start = <const real*> states.start[i] + b * states.width + states.first
            memcpy(row + i * padded, start, H * sizeof(real))


cdef inline void _keep_states(
    const States* states, Py_ssize_t t, const real* row, Py_ssize_t H, Py_ssize_t padded
) noexcept nogil:
    """Put the states of a lane where those of step t are wanted."""
    cdef Py_ssize_t i
    for i in range(states.number):
        if states.kept[i] != NULL:
            memcpy(
                <real*> states.kept[i] + t * states.width + states.first, row + i * padded,
                H * sizeof(real),
            )


cdef inline void _add_initial(Tile* tile, real* rows, Py_ssize_t stride) noexcept nogil:
    """a = W_ih x_t + b + W_hh h_{-1}, which is the same for all."""
    cdef Py_ssize_t lane
    cdef real* a
    for lane in range(tile.first, tile.end):
        a = rows + lane * tile.row * (VECTOR_BYTES // sizeof(real))
        memcpy(a, tile.projection[lane], stride * sizeof(real))
        add(a, <const real*> tile.initial_projected, stride)


cdef object _trace_rows(const Py_ssize_t[::1] offsets, Py_ssize_t lanes):
    """Return where in a trace the steps are: of the s-th that is read of sequence b at its
    ``offsets[b] + s``.
    """
    cdef Py_ssize_t first = 0, row = 0, B = offsets.shape[0] - 1, s, b
    order = np.empty(offsets[B], np.intp)
    cdef Py_ssize_t[::1] rows = order
    while first < B:
        for s in range(_length(offsets, first)):
            for b in range(first, min(first + lanes, B)):
                if _length(offsets, b) <= s:
                    break
                rows[offsets[b] + s] = row
                row += 1
        first += lanes
    return order
