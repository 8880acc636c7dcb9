"""What a driver and the steps of a cell tell each other: neither knows more of the other.

A driver takes the sequences of a tile, its *lanes*, through a layer, step by step. It hands the
step of a cell all lanes at once, each a row of scratch in vectors. A cell is its steps and how
many rows of units it needs for what.
"""

from lrplstm._activations cimport Activation
from lrplstm._vectors cimport double_vector, float_vector

# At most so many sequences are a tile, and so many targets go back side by side.
cdef enum:
    TILE = 64
    TARGETS = 8

# At most so many gates has a cell, and different activations.
cdef enum:
    MOST_GATES = 4
    ACTIVATIONS = 3

# What a trace keeps of each step.
cdef enum:
    NOTHING = 0
    FOR_RELEVANCE = 1
    FOR_GATES = 2
    FOR_GRADIENT = 3
    TRACES = 4

# How relevance of a product of gate and signal is shared.
cdef enum:
    ALL = 0
    PROP = 1
    ABS = 2
    HALF = 3

# The first rows of units of a lane and target on the way back; a cell's own stand behind them.
cdef enum:
    HANDED = 0  # what the product with the recurrent weights hands from the next step to h
    CARRIED = 1  # what the next step hands on beside it, to c or to h
    STARTED = 2  # what starts at h of this step
    OWN = 3

cdef struct Rule:
    # The epsilon rule and the rule for products of gate and signal.
    double epsilon
    double bias_factor
    double epsilon_factor
    int product

cdef struct Tile:
    # Some lanes at one step: those from `first` to `end`, of which each has a row of scratch, on
    # the way back `targets` of them.
    Py_ssize_t first
    Py_ssize_t end
    Py_ssize_t targets
    # Sizes: H and D, without those inputs that the first gate alone reads, so many as are static;
    # how many units the sum of each gate has; in vectors those of a row of units, a row of scratch,
    # and what it has before the states.
    Py_ssize_t hidden_size
    Py_ssize_t input_size
    Py_ssize_t static_inputs
    Py_ssize_t lower_units[MOST_GATES]
    Py_ssize_t n
    Py_ssize_t row
    Py_ssize_t states
    int variant
    Activation activation[ACTIVATIONS]
    # What the forward step keeps; on the way back the rule, whether anything starts at h, whether
    # a product with W_ih follows, and whether gradients are multiplied by the input.
    int keep
    Rule rule
    bint from_hidden
    bint to_inputs
    bint times_input
    # The biases; rows of peepholes, where the cell has some; W_hh h_{-1}; 1 for each unit and 0 for
    # the places beyond, whose relevance it keeps 0, and the same for each number of h; and a row
    # that is the cell's own from the first step to the last.
    const void* bias
    const void* peepholes
    const void* initial_projected
    const void* mask
    const void* mask_of_h
    void* spare
    # Where h is projected: in a trace the row of what the cell gives, behind which h_t stands.
    Py_ssize_t given
    # Of each lane what it reads of the projection, W_ih x_t + b; its trace; on the way back also h
    # of this step, and in a decomposition whether the step is in the phrase.
    const void* projection[TILE]
    void* trace[TILE]
    const void* h[TILE]
    bint in_phrase[TILE]
    # Of each row on the way back: what each lower unit gets of biases and stabilizers, from the
    # next step and then for the one before, and what each static input gets; and the relevance, or
    # gradient times input, of x_t.
    double share[TILE * TARGETS]
    double static_share[TILE * TARGETS]
    double token[TILE * TARGETS]

ctypedef void (*FloatStep)(Tile* tile, float_vector* rows) noexcept nogil
ctypedef void (*DoubleStep)(Tile* tile, double_vector* rows) noexcept nogil

cdef struct Step:
    FloatStep of_floats
    DoubleStep of_doubles

cdef enum:
    MOST_STATES = 2
    MOST_STAGES = 2
    SPARE_ROWS = 4

cdef struct Gates:
    # Rows of the weights, H for each of `count` gates, and where quotients or gradients of theirs,
    # or what is multiplied by them, stand in a row of scratch: in rows of units.
    Py_ssize_t count
    Py_ssize_t at
    Py_ssize_t gate[MOST_GATES]

cdef struct Stage:
    # A part of a forward step: a product of h, or of a row behind the states, with W_hh, whose
    # result stands behind so many gates of the pre-activations; and what the cell makes of it. The
    # product is added to what is projected there, or to a bias of its own.
    Gates recurrent
    Py_ssize_t writes
    bint adds_bias
    Step forward
    Step decompose

cdef struct BackStage:
    # A part of a step back: what the cell does, and the product with W_hh of what that left, whose
    # result becomes a row of units, `HANDED` where it is the last.
    Step step
    Gates recurrent
    Py_ssize_t writes

cdef struct Back:
    # A way back: which trace it reads, and how many rows of units of scratch; its parts; and the
    # product with W_ih that hands on to x_t.
    int keep
    Py_ssize_t rows
    Py_ssize_t stages
    BackStage stage[MOST_STAGES]
    Gates inputs

cdef struct Cell:
    # H rows of the weights, and of a projection, for each of so many gates.
    Py_ssize_t gates
    # States, of which h is the first, and rows of units behind them.
    Py_ssize_t states
    Py_ssize_t own
    # Which of several variants it is, and its activations; the cell knows what that means. Whether
    # it has peepholes.
    int variant
    bint peeps
    Activation activation[ACTIVATIONS]
    # Rows of units in a trace, and which of them is what `HANDED` is multiplied by to become
    # relevance; -1 where that is h_t, which the cell has otherwise. What starts at the final h is
    # then carried to it.
    Py_ssize_t trace_rows[TRACES]
    Py_ssize_t trace_h[TRACES]
    Py_ssize_t stages
    Stage stage[MOST_STAGES]
    # Before all steps of a decomposition.
    Step begin_decompose
    Back relevance
    Back relevance_of_gates
    Back gradient
