"""The driver of ways back: one loop over directions, tiles and steps, for every cell and method.

What comes back is relevance or a gradient; the step of the cell says how.
"""

from cython cimport floating as real

from libc.string cimport memcpy, memset

from lrplstm._hidden cimport (
    end_gradient, end_relevance, gradient_of_projection, relevance_of_projection,
)
from lrplstm._products cimport Product
from lrplstm._tiles cimport (
    ABS, ALL, CARRIED, HALF, HANDED, MOST_STAGES, OWN, PROP, SPARE_ROWS, STARTED, TARGETS, Back,
    BackStage, Rule, Tile,
)
from lrplstm._vectors cimport add, prefetch

from lrplstm.scans import GradientResult, LRPResult

_PRODUCT_RULES = {"all": ALL, "prop": PROP, "abs": ABS, "half": HALF}


cdef class _BackRun:
    """What the driver of ways back reads and writes."""

    cdef _Trace trace
    cdef Back way
    cdef Rule rule
    cdef Py_ssize_t targets
    # What tokens are of: a projection, and which row of it each step reads.
    cdef object projection, rows
    # What starts at each final state or None, and at h of all steps or None: arrays of each target.
    cdef list finals
    cdef object hidden
    # Of each step: its relevance, or gradient times input; and that of its inputs; either or both.
    cdef object token, inputs
    # The share of each static input, or None.
    cdef object of_static
    # What ends at each initial state or None, and the relevance of all of them or None.
    cdef list states
    cdef object initial

    cdef _BackRun part(self, slice targets):
        """The same for some of the targets."""
        cdef _BackRun part = _BackRun()
        part.trace, part.way, part.rule = self.trace, self.way, self.rule
        part.projection, part.rows = self.projection, self.rows
        part.targets = targets.stop - targets.start
        part.hidden, part.token, part.inputs, part.of_static, part.initial = _some(
            [self.hidden, self.token, self.inputs, self.of_static, self.initial], targets
        )
        part.finals, part.states = _some(self.finals, targets), _some(self.states, targets)
        return part


cdef list _some(list arrays, slice targets):
    return [None if array is None else array[targets] for array in arrays]


def lrp_scan(
    _Trace trace not None, final_relevance, hidden_relevance, inputs, rule, str product_rule,
    others=(),
):
    """Run relevance back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _BackRun run = _BackRun.__new__(_BackRun)
    if product_rule not in _PRODUCT_RULES:
        raise ValueError(
            f"product_rule: expected one of {list(_PRODUCT_RULES)}, got {product_rule!r}"
        )
    run.rule.product = _PRODUCT_RULES[product_rule]
    run.rule.epsilon, run.rule.bias_factor = rule.epsilon, rule.bias_factor
    run.rule.epsilon_factor = rule.epsilon_factor
    all_to_signal = product_rule == "all"
    run.way = layer.cell.relevance if all_to_signal else layer.cell.relevance_of_gates
    keep = "relevance" if all_to_signal else "gates"
    K = _start_back(run, trace, keep, [final_relevance, *others], hidden_relevance)
    steps, D, S = trace.steps, layer.input_size, layer.static_inputs
    if inputs is not None:
        inputs = _checked("inputs", inputs, layer.dtype, steps, D)
        run.inputs = np.zeros((K, steps, D), layer.dtype)
        run.of_static = np.zeros((K, steps), layer.dtype) if S else None
    # The sum over the inputs of a step, or with them the share of each.
    run.token = np.zeros((K, steps), layer.dtype)
    run.initial = np.zeros((K, trace.B), layer.dtype)
    run.states, started = [None] * layer.cell.states, trace.start[0] is not None
    if started:
        run.states = _new_states(layer, (K, trace.B))
    _run_back(run)
    states = tuple(run.states) if started else ()
    if inputs is None:
        return LRPResult(run.token, None, run.initial, states)
    # R_x = x * (W_ih.T @ q) + share
    run.inputs *= inputs
    run.inputs[..., :D - S] += run.token[..., np.newaxis]
    if S:
        run.inputs[..., D - S:] += run.of_static[..., np.newaxis]
    return LRPResult(None, run.inputs, run.initial, states)


def gradient_scan(
    _Trace trace not None, final_gradient, hidden_gradient, bint times_input, others=(), *,
    times=None,
):
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _BackRun run = _BackRun.__new__(_BackRun)
    run.way = layer.cell.gradient
    K = _start_back(run, trace, "gradient", [final_gradient, *others], hidden_gradient)
    B, steps, dtype = trace.B, trace.steps, layer.dtype
    if times is not None:
        projection, run.rows = times
        run.projection = _checked("times", projection, dtype, ANY, layer.projected())
        _check_steps(run.rows, trace.offsets, len(projection))
    if times_input:
        run.token = np.zeros((K, steps), dtype)
    else:
        run.inputs = np.zeros((K, steps, layer.input_size), dtype)
    run.states = _new_states(layer, (K, B))
    _run_back(run)
    if len(run.states) == 1:  # there is no c
        run.states.append(np.zeros_like(run.states[0]))
    return GradientResult(run.token, run.inputs, *run.states)


cdef Py_ssize_t _start_back(
    _BackRun run, _Trace trace, str keep, list finals, hidden
) except -1:
    """Set and check what a way back starts from, any of which may be None; return the targets."""
    cdef _Layer layer = trace.layer
    cdef Py_ssize_t i
    if trace.keep != keep:
        raise ValueError(f"trace: expected one that kept {keep!r}, got {trace.keep!r}")
    if len(finals) > layer.cell.states:
        raise ValueError(f"others: expected at most {layer.cell.states - 1}, got {len(finals) - 1}")
    finals += [None] * (layer.cell.states - len(finals))
    for i, final in enumerate(finals):
        if final is not None:
            finals[i] = _check_targets(
                "final", final, trace.B, layer.states.width[i], layer.dtype
            )
    if hidden is not None:
        hidden = _check_targets(
            "hidden", hidden, trace.steps, layer.states.width[0], layer.dtype
        )
    targets = {len(array) for array in (*finals, hidden) if array is not None}
    if not targets:
        raise ValueError("expected something to start from: at the final states, or at all")
    if len(targets) > 1:
        raise ValueError(f"expected one number of targets, got {sorted(targets)}")
    run.trace, run.finals, run.hidden = trace, finals, hidden
    run.projection, run.rows, run.targets = trace.projection, trace.rows, targets.pop()
    return run.targets


cdef int _run_back(_BackRun run) except -1:
    """Take some targets at a time, each an array by itself."""
    cdef _BackRun part = run
    cdef Py_ssize_t first
    for first in range(0, run.targets, TARGETS):
        if run.targets > TARGETS:
            part = run.part(slice(first, min(first + <Py_ssize_t> TARGETS, run.targets)))
        if run.trace.layer.single:
            _back[float](part, <const float*> _address(part.projection))
        else:
            _back[double](part, <const double*> _address(part.projection))
    return 0


cdef int _back(_BackRun run, const real* projection) except -1:
    """For each lane and target there is a row of what the cell needs, and of what x gets."""
    cdef _Layer layer = run.trace.layer
    cdef _Direction direction
    cdef const Py_ssize_t* rows = _indices(run.rows)
    cdef const Py_ssize_t* offsets = _indices(run.trace.offsets)
    cdef const real* hidden = <const real*> _address(run.hidden)
    cdef real* token = <real*> _address(run.token)
    cdef real* inputs = <real*> _address(run.inputs)
    cdef real* of_static = <real*> _address(run.of_static)
    cdef real* initial = <real*> _address(run.initial)
    cdef Py_ssize_t H = layer.hidden_size, D = layer.input_size, padded = layer.padded
    cdef Py_ssize_t B = run.trace.B, steps = run.trace.steps, K = run.targets
    cdef Py_ssize_t projected = layer.projected()
    cdef Py_ssize_t lanes = min(B, layer.lanes), below = run.way.rows * padded
    cdef Py_ssize_t columns = below + layer.padded_inputs()
    cdef Py_ssize_t multiplied = H + D if inputs != NULL else H
    cdef Py_ssize_t first_read = H * layer.cell.gates, gates = run.way.inputs.count
    # The row in a trace that is h_{t-1}, and that of scratch for what starts at the final h.
    cdef Py_ssize_t trace_h = layer.cell.trace_h[run.way.keep]
    cdef Py_ssize_t starts = (CARRIED if trace_h < 0 else HANDED) * padded
    cdef Py_ssize_t numbers = layer.trace_rows(run.way.keep) * padded
    cdef Py_ssize_t at_once = _at_once(K * columns * <Py_ssize_t> sizeof(real))
    cdef bint is_far = steps * (numbers + gates * H) * <Py_ssize_t> sizeof(real) > NEAR_BYTES
    cdef Py_ssize_t d, first, size, active, after, s, lane, k, t, r, row, i, work = 0
    cdef const double* of_token
    cdef const void* zero = layer.zero
    cdef States states
    cdef real* h
    cdef real* start[MOST_STATES]
    cdef real* final[MOST_STATES]
    cdef real* ended[MOST_STATES]
    cdef const BackStage* stage
    cdef Product to_hidden[MOST_STAGES]
    cdef Product to_input
    cdef Product to_given
    cdef Step of_projection
    cdef Tile tile
    cdef _Memory memory = _memory(
        (lanes * K * columns + SPARE_ROWS * padded) * <Py_ssize_t> sizeof(real), True
    )
    cdef real* scratch = <real*> memory.start
    cdef const real* trace = <const real*> run.trace.kept.start
    for i in range(gates):
        first_read = min(first_read, run.way.inputs.gate[i] * H)
    for i in range(layer.cell.states):
        start[i] = <real*> _address(run.trace.start[i])
        final[i], ended[i] = <real*> _address(run.finals[i]), <real*> _address(run.states[i])
    layer.set_tile(&tile, columns, scratch + lanes * K * columns)
    tile.targets, tile.rule = K, run.rule
    tile.from_hidden, tile.times_input = hidden != NULL, token != NULL
    tile.to_inputs = inputs != NULL
    tile.given = layer.cell.trace_rows[run.way.keep]
    of_projection = Step(
        gradient_of_projection[float_vector], gradient_of_projection[double_vector]
    )
    if initial != NULL:
        of_projection = Step(
            relevance_of_projection[float_vector], relevance_of_projection[double_vector]
        )
    # Where inputs get relevance of their own, a token is what each of them gets beside its product.
    of_token = &tile.share[0] if inputs != NULL else &tile.token[0]
    to_input.x_stride = to_input.y_stride = columns
    to_input.start, to_input.start_step, to_input.start_at = &zero, 0, 0
    to_input.segment_stride = padded
    for d in range(len(layer.directions)):
        direction, states = layer.directions[d], layer.states_of(d)
        for i in range(run.way.stages):
            to_hidden[i] = to_input
            direction.back("weight_hh", &run.way.stage[i].recurrent).set_product(&to_hidden[i])
        if inputs != NULL:
            direction.back("weight_ih", &run.way.inputs).set_product(&to_input)
        if layer.projects:
            to_given = to_input
            direction.back_projection().set_product(&to_given)
        tile.bias, tile.peepholes = direction.bias, direction.peepholes
        row = d * steps
        first = 0
        with nogil:
            while first < B:
                size = min(lanes, B - first)
                for r in range(size * K):
                    # What starts at the final state is handed on to it as it is: times 1, see mask.
                    memset(scratch + r * columns, 0, OWN * padded * sizeof(real))
                    _take_states(
                        &states, final, r % K * B + first + r // K, scratch + r * columns + starts
                    )
                    tile.share[r] = tile.static_share[r] = 0
                # Backwards through the rows of the trace that the forward scan wrote.
                row += offsets[first + size] - offsets[first]
                active = after = 0
                for s in range(_length(offsets, first) - 1, -1, -1):
                    while active < size and _length(offsets, first + active) > s:
                        active += 1
                    row -= active
                    tile.first = 0
                    while tile.first < active:
                        tile.end = min(tile.first + at_once, active)
                        for lane in range(tile.first, tile.end):
                            tile.trace[lane] = <void*> (trace + (row + lane) * numbers)
                            tile.h[lane] = tile.mask_of_h
                            if lane < after and trace_h >= 0:
                                tile.h[lane] = (
                                    trace + (row + active + lane) * numbers + trace_h * padded
                                )
                            t = _step(offsets, first + lane, s, direction.reverse)
                            tile.projection[lane] = (
                                projection + rows[t] * projected + direction.first_projected
                            )
                            if hidden != NULL:
                                for k in range(K):
                                    memcpy(
                                        scratch + (lane * K + k) * columns + STARTED * padded,
                                        hidden + (k * steps + t) * states.width[0]
                                        + states.first[0],
                                        states.size[0] * sizeof(real),
                                    )
                            if is_far and s > 0:
                                prefetch(trace + (row - active + lane) * numbers, numbers)
                                t = _step(offsets, first + lane, s - 1, direction.reverse)
                                prefetch(
                                    projection + rows[t] * projected + direction.first_projected
                                    + first_read,
                                    gates * H,
                                )
                        r = tile.first * K
                        if layer.projects:
                            _take[real](&of_projection, &tile, scratch)
                            to_given.x = scratch + r * columns + STARTED * padded
                            to_given.y = scratch + r * columns + HANDED * padded
                            to_given.rows = (tile.end - tile.first) * K
                            _times_matrix(&to_given, <const real*> to_given.panels)
                            for lane in range(tile.first, tile.end):
                                tile.h[lane] = <const real*> tile.trace[lane] + tile.given * padded
                            tile.from_hidden = False
                        for i in range(run.way.stages):
                            stage = &run.way.stage[i]
                            _take[real](&stage.step, &tile, scratch)
                            to_hidden[i].x = scratch + r * columns + stage.recurrent.at * padded
                            to_hidden[i].y = scratch + r * columns + stage.writes * padded
                            to_hidden[i].rows = (tile.end - tile.first) * K
                            _times_matrix(&to_hidden[i], <const real*> to_hidden[i].panels)
                        if inputs != NULL:
                            to_input.x = scratch + r * columns + run.way.inputs.at * padded
                            to_input.y = scratch + r * columns + below
                            to_input.rows = (tile.end - tile.first) * K
                            _times_matrix(&to_input, <const real*> to_input.panels)
                        tile.from_hidden = hidden != NULL
                        for lane in range(tile.first, tile.end):
                            t = _step(offsets, first + lane, s, direction.reverse)
                            for k in range(K):
                                r = lane * K + k
                                if token != NULL:
                                    token[k * steps + t] += of_token[r]
                                if of_static != NULL:
                                    of_static[k * steps + t] += tile.static_share[r]
                                if inputs != NULL:
                                    add(
                                        inputs + (k * steps + t) * D,
                                        scratch + r * columns + below, D,
                                    )
                        tile.first = tile.end
                    after = active
                    _poll(&work, _work(active * K, gates * padded, multiplied))
                for r in range(size * K):
                    k, lane = r % K, r // K
                    tile.h[lane] = trace + (row + lane) * numbers + trace_h * padded
                    if trace_h < 0:
                        h = scratch + r * columns + STARTED * padded
                        memcpy(h, direction.initial[0], padded * sizeof(real))
                        _take_states(&states, start, first + lane, h)
                        tile.h[lane] = h
                    _end(&tile, r, scratch + r * columns, initial != NULL, states.number == 1)
                    if initial != NULL:
                        initial[k * B + first + lane] += tile.token[r]
                    _put_states(
                        &states, ended, k * B + first + lane,
                        scratch + r * columns + HANDED * padded,
                    )
                row += offsets[first + size] - offsets[first]
                first += lanes
    return 0


cdef inline void _end(
    Tile* tile, Py_ssize_t r, real* row, bint is_relevance, bint carries_h
) noexcept nogil:
    """Make what has come back to the initial states theirs."""
    if real is float:
        if is_relevance:
            end_relevance(tile, r, <float_vector*> row, carries_h)
        elif carries_h:
            end_gradient(tile, <float_vector*> row)
    else:
        if is_relevance:
            end_relevance(tile, r, <double_vector*> row, carries_h)
        elif carries_h:
            end_gradient(tile, <double_vector*> row)
