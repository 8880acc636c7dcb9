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
    cdef object projection, rows, offsets
    cdef Py_ssize_t B, steps
    cdef _Memory kept
    cdef str keep
    cdef list start


cdef class _Run:
    """What the forward driver reads and writes."""

    cdef _Layer layer
    cdef object projection, rows, offsets
    cdef Py_ssize_t B, steps
    # Where states begin that are not the initial ones: of each of the cell's an array, or None.
    cdef list start
    # A decomposition reads the trace of the originals, of each step that of one of theirs.
    cdef _Trace originals
    cdef object owner, phrase
    # Of each state that of the last step, and that of every step or None.
    cdef list finals, states
    # The trace that is written, or read, or None; what it keeps, and of how many steps.
    cdef _Memory trace
    cdef int keep
    cdef Py_ssize_t kept_steps

    cdef Py_ssize_t trace_numbers(self) noexcept:
        """How many a step has in the trace."""
        return self.layer.trace_rows(self.keep) * self.layer.padded


def forward_scan(
    _Layer layer not None, projection, rows, offsets, str keep, bint hidden, start=None
):
    """Run the cell over every sequence; see `lrplstm.scans`."""
    cdef _Trace trace
    cdef _Run run = _Run.__new__(_Run)
    cdef Py_ssize_t B, steps, size
    if keep not in KEEP:
        raise ValueError(f"keep: expected one of {KEEP}, got {keep!r}")
    projection = _checked("projection", projection, layer.dtype, ANY, layer.projected())
    _check_steps(rows, offsets, len(projection))
    B, steps = len(offsets) - 1, len(rows)
    run.layer, run.projection, run.rows, run.offsets = layer, projection, rows, offsets
    run.B, run.steps, run.kept_steps, run.keep = B, steps, steps, _TRACES[keep]
    run.start, run.finals = _check_start(layer, start, B), _new_states(layer, (B,))
    run.states = [None] * layer.cell.states
    if keep == "states":
        run.states = _new_states(layer, (steps,))
    elif hidden:
        run.states[0] = np.empty((steps, layer.states.width[0]), layer.dtype)
    if run.keep != NOTHING:
        size = len(layer.directions) * steps * run.trace_numbers()
        run.trace = _memory(size * layer.itemsize, False)
    _run_forward(run)
    states = run.states[0] if hidden else None
    final, *others = run.finals
    if run.keep == NOTHING:
        all_states = tuple(run.states) if keep == "states" else None
        return ForwardResult(final, states, None, all_states, tuple(others))
    trace = _Trace.__new__(_Trace)
    trace.layer, trace.projection, trace.keep, trace.kept = layer, projection, keep, run.trace
    # Copies: whoever changes the arrays does not change where the way back reads.
    trace.start = [None if state is None else state.copy() for state in run.start]
    trace.rows, trace.offsets, trace.B, trace.steps = rows.copy(), offsets.copy(), B, steps
    return ForwardResult(final, states, trace, None, tuple(others))


cdef list _new_states(_Layer layer, tuple rows):
    """Return an array of each state."""
    cdef Py_ssize_t i
    return [
        np.empty((*rows, layer.states.width[i]), layer.dtype) for i in range(layer.cell.states)
    ]


cdef list _check_start(_Layer layer, start, Py_ssize_t B):
    """Check the states that sequences begin from, if they are given; return them, or None each."""
    cdef Py_ssize_t i
    if start is None:
        return [None] * layer.cell.states
    if not isinstance(start, tuple) or len(start) != layer.cell.states:
        raise TypeError(f"start: expected {layer.cell.states} arrays, one of each state")
    return [
        _checked("start", start[i], layer.dtype, B, layer.states.width[i])
        for i in range(layer.cell.states)
    ]


def decompose_scan(
    _Trace trace not None, owner, relevant, rows, phrase, offsets, bint hidden, start=None
):
    """Follow the part of the states that comes from some inputs; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _Run run = _Run.__new__(_Run)
    if trace.keep != "gates":
        raise ValueError(f"trace: expected one that kept 'gates', got {trace.keep!r}")
    relevant = _checked("relevant", relevant, layer.dtype, ANY, layer.projected())
    _check_steps(rows, offsets, len(relevant))
    _check_indices("owner", owner)
    _check_copies(owner, offsets, trace)
    run.layer, run.projection, run.rows, run.offsets = layer, relevant, rows, offsets
    run.B, run.steps = len(owner), len(rows)
    run.originals, run.owner = trace, owner
    run.phrase = _checked("phrase", phrase, np.dtype(bool), len(rows))
    run.keep, run.trace, run.kept_steps = FOR_GATES, trace.kept, trace.steps
    run.start, run.finals = _check_start(layer, start, run.B), _new_states(layer, (run.B,))
    run.states = [None] * layer.cell.states
    if hidden:
        run.states[0] = np.empty((run.steps, layer.states.width[0]), layer.dtype)
    _run_forward(run)
    final, *others = run.finals
    return DecomposeResult(final, run.states[0], tuple(others))


cdef int _check_copies(owner, offsets, _Trace trace) except -1:
    """Check that each copy is of one of the sequences, and not longer."""
    cdef const Py_ssize_t* lengths = _indices(offsets)
    cdef const Py_ssize_t* owners = _indices(owner)
    cdef const Py_ssize_t* originals = _indices(trace.offsets)
    cdef Py_ssize_t k
    if len(owner) != len(offsets) - 1:
        raise ValueError(f"owner: expected {len(offsets) - 1} numbers, got {len(owner)}")
    for k in range(len(owner)):
        if owners[k] < 0 or owners[k] >= trace.B:
            raise ValueError(f"owner: expected 0 <= owner < {trace.B}, got {owners[k]}")
        if _length(lengths, k) > _length(originals, owners[k]):
            raise ValueError(f"offsets: expected copy {k} to be no longer than its sequence")
    return 0


# The driver -------------------------------------------------------------------------------------

# So many lanes go through product and cell together, and more whose rows of scratch take less than
# ROWS_BYTES: they stay in the nearest cache. What a scan reads is prefetched where it is more than
# NEAR_BYTES: it comes from farther than the caches of one core.
cdef enum:
    AT_ONCE = 8
    ROWS_BYTES = 1 << 14
    NEAR_BYTES = 1 << 21


cdef inline Py_ssize_t _at_once(Py_ssize_t bytes_per_lane) noexcept nogil:
    return max(ROWS_BYTES // (bytes_per_lane * AT_ONCE), <Py_ssize_t> 1) * AT_ONCE


cdef inline Py_ssize_t _work(Py_ssize_t rows, Py_ssize_t units, Py_ssize_t columns) noexcept nogil:
    """Multiplications of a step: a product for each unit, and its functions, as long as 32."""
    return rows * units * (columns + 32)


cdef inline Py_ssize_t _step(
    const Py_ssize_t* offsets, Py_ssize_t b, Py_ssize_t s, bint reverse
) noexcept nogil:
    """Where the s-th step that a direction reads of sequence b stands among all steps."""
    return offsets[b + 1] - 1 - s if reverse else offsets[b] + s


cdef inline void _take(const Step* step, Tile* tile, real* rows) noexcept nogil:
    """Take the lanes of a tile through a step of the cell."""
    if real is float:
        step.of_floats(tile, <float_vector*> rows)
    else:
        step.of_doubles(tile, <double_vector*> rows)


cdef inline void _put_states(
    const States* states, real* const* to, Py_ssize_t t, const real* row
) noexcept nogil:
    """Put the states of a lane into row t of where they are wanted."""
    cdef Py_ssize_t i
    for i in range(states.number):
        if to[i] != NULL:
            memcpy(
                to[i] + t * states.width[i] + states.first[i], row + i * states.padded,
                states.size[i] * sizeof(real),
            )


cdef inline void _take_states(
    const States* states, real* const* given, Py_ssize_t t, real* row
) noexcept nogil:
    """Set the states of a lane to those in row t, where they are given."""
    cdef Py_ssize_t i
    for i in range(states.number):
        if given[i] != NULL:
            memcpy(
                row + i * states.padded, given[i] + t * states.width[i] + states.first[i],
                states.size[i] * sizeof(real),
            )


cdef int _run_forward(_Run run) except -1:
    if run.layer.single:
        return _forward[float](run, <const float*> _address(run.projection))
    return _forward[double](run, <const double*> _address(run.projection))


cdef int _forward(_Run run, const real* projection) except -1:
    """For each lane there is a row of pre-activations and the cell's states."""
    cdef _Layer layer = run.layer
    cdef _Direction direction
    cdef const Py_ssize_t* rows = _indices(run.rows)
    cdef const Py_ssize_t* offsets = _indices(run.offsets)
    cdef Py_ssize_t H = layer.hidden_size, padded = layer.padded, stride = layer.stride
    cdef Py_ssize_t B = run.B, lanes = min(B, layer.lanes), projected = layer.projected()
    cdef Py_ssize_t own = stride + layer.cell.states * padded
    cdef Py_ssize_t projected_h = own + layer.cell.own * padded
    cdef Py_ssize_t columns = projected_h + (padded if layer.projects else 0)
    cdef Py_ssize_t at_once = _at_once(columns * <Py_ssize_t> sizeof(real))
    cdef Py_ssize_t d, first, active, s, lane, t, row, i, work = 0
    cdef bint started = run.start[0] is not None, keeps_states = run.states[0] is not None
    cdef const Stage* stage
    cdef const void* initial
    cdef const void* own_bias
    cdef States states
    # Of each state where it begins, where it ends, and where that of every step is put, or NULL.
    cdef real* given
    cdef real* start[MOST_STATES]
    cdef real* final[MOST_STATES]
    cdef real* kept[MOST_STATES]
    cdef Product product[MOST_STAGES]
    cdef Product projecting
    cdef const void* zero = layer.zero
    cdef Tile tile
    # A row for each lane, and behind them those of the cell.
    cdef _Memory memory = _memory(
        (lanes * columns + SPARE_ROWS * padded) * <Py_ssize_t> sizeof(real), True
    )
    cdef real* scratch = <real*> memory.start
    # Of each step so many numbers, in the order in which they are computed.
    cdef real* trace = NULL if run.trace is None else <real*> run.trace.start
    cdef Py_ssize_t numbers = run.trace_numbers()
    # A decomposition reads those of the steps of the originals.
    cdef bint decomposes = run.originals is not None
    # The rows that it reads of a projection are of any of its steps.
    cdef bint is_far = len(run.projection) * projected * <Py_ssize_t> sizeof(real) > NEAR_BYTES
    cdef const Py_ssize_t* owner = _indices(run.owner)
    cdef const unsigned char* phrase = <const unsigned char*> _address(run.phrase)
    cdef const Py_ssize_t* originals = NULL
    cdef const Py_ssize_t* trace_rows = NULL
    if decomposes:
        originals, order = _indices(run.originals.offsets), _trace_rows(run.originals)
        trace_rows = _indices(order)
    for i in range(layer.cell.states):
        start[i] = <real*> _address(run.start[i])
        final[i], kept[i] = <real*> _address(run.finals[i]), <real*> _address(run.states[i])
    layer.set_tile(&tile, columns, scratch + lanes * columns)
    tile.keep = run.keep
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        states = layer.states_of(d)
        tile.bias, tile.initial_projected = direction.bias, direction.initial_projected
        tile.peepholes = direction.peepholes
        own_bias = <const real*> direction.bias + layer.cell.gates * H
        if decomposes:  # nothing of the layer's own states is relevant, nor of biases
            tile.initial_projected = own_bias = layer.zero
        for i in range(layer.cell.stages):
            direction.set_product(i, &product[i])
            product[i].x_stride = product[i].y_stride = columns
            product[i].start_at = layer.cell.stage[i].writes * H
            if layer.cell.stage[i].adds_bias:
                product[i].start, product[i].start_step, product[i].start_at = &own_bias, 0, 0
        if layer.projects:
            direction.set_projection(&projecting, columns, &zero)
        row = d * run.kept_steps
        first = 0
        with nogil:
            if decomposes:
                _take[real](&layer.cell.begin_decompose, &tile, scratch)
            while first < B:
                active = min(lanes, B - first)
                for lane in range(active):
                    for i in range(states.number):
                        initial = layer.zero if decomposes else direction.initial[i]
                        memcpy(
                            scratch + lane * columns + stride + i * padded, initial,
                            padded * sizeof(real),
                        )
                    _take_states(&states, start, first + lane, scratch + lane * columns + stride)
                s = 0
                while True:
                    while active > 0 and _length(offsets, first + active - 1) <= s:
                        active -= 1
                    if active == 0:
                        break
                    # Some lanes at a time, whose pre-activations stay in the cache.
                    tile.first = 0
                    while tile.first < active:
                        tile.end = min(tile.first + at_once, active)
                        for lane in range(tile.first, tile.end):
                            t = _step(offsets, first + lane, s, direction.reverse)
                            tile.projection[lane] = (
                                projection + rows[t] * projected + direction.first_projected
                            )
                            if decomposes:
                                tile.in_phrase[lane] = phrase[t]
                                # The last of the steps that the direction reads of the original.
                                t = originals[owner[first + lane] + 1]
                                t -= _length(offsets, first + lane)
                                tile.trace[lane] = trace + (row + trace_rows[t + s]) * numbers
                            elif tile.keep != NOTHING:
                                tile.trace[lane] = trace + row * numbers
                                row += 1
                            if is_far and _length(offsets, first + lane) > s + 1:
                                t = _step(offsets, first + lane, s + 1, direction.reverse)
                                prefetch(
                                    projection + rows[t] * projected + direction.first_projected,
                                    stride,
                                )
                        lane = tile.first
                        for i in range(layer.cell.stages):
                            stage = &layer.cell.stage[i]
                            if s == 0 and i == 0 and not started:
                                _add_initial(&tile, scratch, stride)
                            else:  # a = W_ih x_t + b + W_hh h_{t-1}
                                if not stage.adds_bias:
                                    product[i].start = &tile.projection[lane]
                                product[i].y = scratch + lane * columns + stage.writes * H
                                product[i].x = (
                                    scratch + lane * columns + stride + stage.recurrent.at * padded
                                )
                                product[i].rows = tile.end - lane
                                _times_matrix(&product[i], <const real*> product[i].panels)
                            _take[real](
                                &stage.decompose if decomposes else &stage.forward,
                                &tile, scratch,
                            )
                        if layer.projects:
                            lane = tile.first
                            projecting.x = scratch + lane * columns + stride
                            projecting.y = scratch + lane * columns + projected_h
                            projecting.rows = tile.end - lane
                            _times_matrix(&projecting, <const real*> projecting.panels)
                            for lane in range(tile.first, tile.end):
                                given = scratch + lane * columns + stride
                                if tile.keep != NOTHING and not decomposes:
                                    memcpy(
                                        <real*> tile.trace[lane] + numbers - 2 * padded,
                                        given, padded * sizeof(real),
                                    )
                                    memcpy(
                                        <real*> tile.trace[lane] + numbers - padded,
                                        given - stride + projected_h, padded * sizeof(real),
                                    )
                                memcpy(
                                    given, given - stride + projected_h, padded * sizeof(real)
                                )
                        if keeps_states:
                            for lane in range(tile.first, tile.end):
                                t = _step(offsets, first + lane, s, direction.reverse)
                                _put_states(
                                    &states, kept, t, scratch + lane * columns + stride
                                )
                        tile.first = tile.end
                    # Those that end here.
                    s += 1
                    for lane in range(active - 1, -1, -1):
                        if _length(offsets, first + lane) > s:
                            break
                        _put_states(
                            &states, final, first + lane, scratch + lane * columns + stride
                        )
                    _poll(&work, _work(active, layer.cell.gates * padded, H))
                first += lanes
    return 0


cdef inline void _add_initial(Tile* tile, real* rows, Py_ssize_t stride) noexcept nogil:
    """a = W_ih x_t + b + W_hh h_{-1}, which is the same for all."""
    cdef Py_ssize_t lane
    cdef real* a
    for lane in range(tile.first, tile.end):
        a = rows + lane * tile.row * (VECTOR_BYTES // sizeof(real))
        memcpy(a, tile.projection[lane], stride * sizeof(real))
        add(a, <const real*> tile.initial_projected, stride)


cdef object _trace_rows(_Trace trace):
    """Return where in a trace the steps are: of the s-th that is read of sequence b at its
    ``offsets[b] + s``.
    """
    cdef const Py_ssize_t* offsets = _indices(trace.offsets)
    cdef Py_ssize_t first = 0, row = 0, s, b
    order = np.empty(trace.steps, np.intp)
    cdef Py_ssize_t* rows = <Py_ssize_t*> _indices(order)
    while first < trace.B:
        for s in range(_length(offsets, first)):
            for b in range(first, min(first + trace.layer.lanes, trace.B)):
                if _length(offsets, b) <= s:
                    break
                rows[offsets[b] + s] = row
                row += 1
        first += trace.layer.lanes
    return order
