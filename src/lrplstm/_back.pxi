"""The driver of ways back: one loop over directions, tiles and steps, for every cell and method.

What comes back is relevance or a gradient; the step of the cell says how.
"""

from cython cimport floating as real

from libc.string cimport memcpy, memset

from lrplstm._products cimport Product
from lrplstm._tiles cimport (
    ABS, ALL, HALF, HANDED, MOST_STAGES, OWN, PROP, SPARE_ROWS, STARTED, TARGETS, Back, BackStage,
    Rule, Tile,
)
from lrplstm._vectors cimport add, prefetch

from lrplstm.scans import GradientResult, LRPResult

_PRODUCT_RULES = {"all": ALL, "prop": PROP, "abs": ABS, "half": HALF}


cdef class _BackRun:
    """What the driver of ways back reads and writes."""

    cdef _Trace trace
    cdef Back way
    cdef Rule rule
    # What tokens are of: a projection, and which row of it each step reads.
    cdef object projection, rows
    # What starts at the final states, and at those of all steps or None: an array of each target.
    cdef object final, hidden
    # Of each step: its relevance, or gradient times input; and that of its inputs; either or both.
    cdef object token, inputs
    # What ends at the initial states: relevance, or gradients, of each state or None.
    cdef object initial
    cdef list initial_gradient

    cdef _BackRun part(self, slice targets):
        """The same for some of the targets."""
        cdef _BackRun part = _BackRun()
        part.trace, part.way, part.rule = self.trace, self.way, self.rule
        part.projection, part.rows = self.projection, self.rows
        part.final, part.hidden, part.token, part.inputs, part.initial = [
            None if array is None else array[targets]
            for array in (self.final, self.hidden, self.token, self.inputs, self.initial)
        ]
        part.initial_gradient = [
            None if array is None else array[targets] for array in self.initial_gradient
        ]
        return part


def lrp_scan(
    _Trace trace not None, final_relevance, hidden_relevance, inputs, rule, str product_rule
):
    """Run relevance back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _BackRun run = _BackRun()
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
    K = _start_back(run, trace, keep, final_relevance, hidden_relevance)
    steps, D = len(trace.rows), layer.input_size
    if inputs is not None:
        _check("inputs", inputs, (steps, D), layer.dtype)
        run.inputs = np.zeros((K, steps, D), layer.dtype)
    # The sum over the inputs of a step, or with them the share of each.
    run.token = np.zeros((K, steps), layer.dtype)
    run.initial = np.zeros((K, len(trace.offsets) - 1), layer.dtype)
    run.initial_gradient = [None] * layer.cell.states
    _run_back(run)
    if inputs is None:
        return LRPResult(run.token, None, run.initial)
    # R_x = x * (W_ih.T @ q) + share
    run.inputs *= inputs
    run.inputs += run.token[..., np.newaxis]
    return LRPResult(None, run.inputs, run.initial)


def gradient_scan(
    _Trace trace not None, final_gradient, hidden_gradient, bint times_input, *, times=None
):
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _BackRun run = _BackRun()
    run.way = layer.cell.gradient
    K = _start_back(run, trace, "gradient", final_gradient, hidden_gradient)
    B, steps, dtype = len(trace.offsets) - 1, len(trace.rows), layer.dtype
    if times is not None:
        projection, run.rows = times
        run.projection = _check_rows("times", projection, layer.projected(), dtype)
        _check_steps(run.rows, trace.offsets, len(projection))
    if times_input:
        run.token = np.zeros((K, steps), dtype)
    else:
        run.inputs = np.zeros((K, steps, layer.input_size), dtype)
    # Of h and c; where a cell has no c, zeros.
    initial = [np.zeros((K, B, layer.width), dtype) for _ in range(MOST_STATES)]
    run.initial_gradient = initial[:layer.cell.states]
    _run_back(run)
    return GradientResult(run.token, run.inputs, *initial)


cdef Py_ssize_t _start_back(_BackRun run, _Trace trace, str keep, final, hidden) except -1:
    """Set and check what a way back starts from, one of which may be None; return the targets."""
    cdef _Layer layer = trace.layer
    if trace.keep != keep:
        raise ValueError(f"trace: expected one that kept {keep!r}, got {trace.keep!r}")
    B, steps, width, dtype = len(trace.offsets) - 1, len(trace.rows), layer.width, layer.dtype
    if final is None and hidden is None:
        raise ValueError("expected something to start from: at the final states, or at all")
    if final is not None:
        final = _check_targets("final", final, B, width, dtype)
    if hidden is not None:
        hidden = _check_targets("hidden", hidden, steps, width, dtype)
    if final is None:
        final = np.zeros((len(hidden), B, width), dtype)
    if hidden is not None and len(final) != len(hidden):
        raise ValueError(f"expected one number of targets, got {len(final)} and {len(hidden)}")
    run.trace, run.final, run.hidden = trace, final, hidden
    run.projection, run.rows = trace.projection, trace.rows
    return len(final)


cdef int _run_back(_BackRun run) except -1:
    """For each lane and target there is a row of what the cell needs, and of what x gets."""
    cdef _Layer layer = run.trace.layer
    cdef _BackRun part
    K, B = len(run.final), len(run.trace.offsets) - 1
    columns = run.way.rows * layer.padded + layer.padded_inputs()
    number = min(B, layer.lanes) * min(K, <Py_ssize_t> TARGETS)
    lanes = _zeros((number, columns), layer.dtype)
    for first in range(0, K, TARGETS):
        part = run if K <= TARGETS else run.part(slice(first, first + TARGETS))
        if layer.single:
            _back[float](part, part.projection, lanes, part.trace.kept)
        else:
            _back[double](part, part.projection, lanes, part.trace.kept)
    return 0


cdef int _back(
    _BackRun run, const real[:, ::1] projection, real[:, ::1] scratch, real[:, :, :, ::1] trace
) except -1:
    cdef _Layer layer = run.trace.layer
    cdef _Direction direction
    cdef const Py_ssize_t[::1] rows = run.rows
    cdef const Py_ssize_t[::1] offsets = run.trace.offsets
    cdef const real[:, :, ::1] final = run.final
    cdef const real[:, :, ::1] hidden = run.hidden
    cdef real[:, ::1] token = run.token
    cdef real[:, :, ::1] inputs = run.inputs
    cdef real[:, ::1] initial = run.initial
    cdef bint to_inputs = run.inputs is not None, to_tokens = run.token is not None
    cdef bint ends_in_number = run.initial is not None
    cdef Py_ssize_t H = layer.hidden_size, D = layer.input_size, padded = layer.padded
    cdef Py_ssize_t B = offsets.shape[0] - 1, K = final.shape[0]
    cdef Py_ssize_t lanes = min(B, layer.lanes), below = run.way.rows * padded
    cdef Py_ssize_t columns = H + D if to_inputs else H
    cdef Py_ssize_t first_projected, gates = run.way.inputs.count
    cdef Py_ssize_t trace_h = layer.cell.trace_h[run.way.keep]
    cdef Py_ssize_t d, first, size, active, after, s, lane, k, t, r, row, i, work = 0
    cdef const double* of_token
    cdef const void* zero = layer.zero
    cdef real* initial_gradient[MOST_STATES]
    cdef const BackStage* stage
    cdef Product to_hidden[MOST_STAGES]
    cdef Product to_input
    cdef Tile tile
    for i in range(layer.cell.states):
        initial_gradient[i] = NULL
        if run.initial_gradient[i] is not None:
            initial_gradient[i] = <real*> _address(run.initial_gradient[i])
    spare = _zeros((SPARE_ROWS * padded,), layer.dtype)
    layer.set_tile(&tile, scratch.shape[1], _address(spare))
    tile.targets, tile.rule = K, run.rule
    tile.from_hidden, tile.times_input = run.hidden is not None, to_tokens
    # Where inputs get relevance of their own, a token is what each of them gets beside its product.
    of_token = &tile.share[0] if to_inputs else &tile.token[0]
    to_input.x_stride = to_input.y_stride = scratch.shape[1]
    to_input.start, to_input.start_step, to_input.start_at = &zero, 0, 0
    to_input.segment_stride = padded
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        for i in range(run.way.stages):
            to_hidden[i] = to_input
            direction.back("weight_hh", &run.way.stage[i].recurrent).set_product(&to_hidden[i])
        if to_inputs:
            direction.back("weight_ih", &run.way.inputs).set_product(&to_input)
        tile.bias, tile.initial_projected = direction.bias, direction.initial_projected
        first_projected = direction.first_projected + run.way.inputs.gate[0] * H
        row = first = 0
        with nogil:
            while first < B:
                size = min(lanes, B - first)
                for r in range(size * K):
                    # What starts at the final state is handed on to it as it is: times 1, see mask.
                    memset(&scratch[r, 0], 0, OWN * padded * sizeof(real))
                    memcpy(
                        &scratch[r, HANDED * padded],
                        &final[r % K, first + r // K, direction.first_state], H * sizeof(real),
                    )
                    tile.share[r] = 0
                # Backwards through the rows of the trace that the forward scan wrote.
                row += offsets[first + size] - offsets[first]
                active = after = 0
                for s in range(_length(offsets, first) - 1, -1, -1):
                    while active < size and _length(offsets, first + active) > s:
                        active += 1
                    row -= active
                    tile.first = 0
                    while tile.first < active:
                        tile.end = min(tile.first + <Py_ssize_t> AT_ONCE, active)
                        for lane in range(tile.first, tile.end):
                            tile.trace[lane] = &trace[d, row + lane, 0, 0]
                            tile.h[lane] = tile.mask
                            if lane < after:
                                tile.h[lane] = &trace[d, row + active + lane, trace_h, 0]
                            t = _step(offsets, first + lane, s, direction.reverse)
                            tile.projection[lane] = &projection[rows[t], direction.first_projected]
                            if run.hidden is not None:
                                for k in range(K):
                                    memcpy(
                                        &scratch[lane * K + k, STARTED * padded],
                                        &hidden[k, t, direction.first_state], H * sizeof(real),
                                    )
                            if s > 0:
                                prefetch(
                                    &trace[d, row - active + lane, 0, 0], trace.shape[2] * padded
                                )
                                t = _step(offsets, first + lane, s - 1, direction.reverse)
                                prefetch(&projection[rows[t], first_projected], gates * padded)
                        r = tile.first * K
                        for i in range(run.way.stages):
                            stage = &run.way.stage[i]
                            _take[real](&stage.step, &tile, &scratch[0, 0])
                            # Relevance of h_{-1} is a number, which needs no product.
                            if s > 0 or not ends_in_number or i + 1 < run.way.stages:
                                to_hidden[i].x = &scratch[r, stage.recurrent.at * padded]
                                to_hidden[i].y = &scratch[r, stage.writes * padded]
                                to_hidden[i].rows = (tile.end - tile.first) * K
                                _times_matrix(&to_hidden[i], <const real*> to_hidden[i].panels)
                        if to_inputs:
                            to_input.x = &scratch[r, run.way.inputs.at * padded]
                            to_input.y = &scratch[r, below]
                            to_input.rows = (tile.end - tile.first) * K
                            _times_matrix(&to_input, <const real*> to_input.panels)
                        for lane in range(tile.first, tile.end):
                            t = _step(offsets, first + lane, s, direction.reverse)
                            for k in range(K):
                                r = lane * K + k
                                if to_tokens:
                                    token[k, t] += of_token[r]
                                if to_inputs:
                                    add(&inputs[k, t, 0], &scratch[r, below], D)
                        tile.first = tile.end
                    after = active
                    _poll(&work, _work(active * K, gates * padded, columns))
                row += offsets[first + size] - offsets[first]
                tile.first, tile.end = 0, size
                if run.way.end.of_floats != NULL:
                    _take[real](&run.way.end, &tile, &scratch[0, 0])
                for r in range(size * K):
                    k, lane = r % K, r // K
                    if ends_in_number:
                        initial[k, first + lane] += tile.token[r]
                    for i in range(layer.cell.states):
                        if initial_gradient[i] != NULL:
                            memcpy(
                                initial_gradient[i]
                                + (k * B + first + lane) * layer.width + direction.first_state,
                                &scratch[r, (HANDED + i) * padded], H * sizeof(real),
                            )
                first += lanes
    return 0
