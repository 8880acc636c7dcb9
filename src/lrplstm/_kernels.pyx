"""A backend, compiled: the same names, arguments and results as in `backends.reference`.

A scan takes the sequences of a layer in *tiles*. The sequences of a tile, its lanes, go through
their steps side by side, so that the product with the recurrent weights, which is most of the work,
is one of many rows with a matrix. The longest sequence comes first: those that still run are the
first so many lanes, and nothing is padded with steps that are not there.

There is one driver forward and one back, over directions, tiles and steps, without the GIL. They
know no cell: a cell is a few steps, which take rows of H units through the formulas, in a file of
its own. A row has room for whole vectors of units; what stands in the places beyond H is finite,
and its relevance and gradient are 0.

Every number is computed by the same instructions in the same order, whichever rows are beside it:
results do not depend on the batch, its order or the number of threads.

The files, each of which needs only those before it:

- `_vectors.pxd`, `_activations.pxd`: vectors of the processor as numbers, and functions of them;
- `_products.pxd`: the block product;
- `_tiles.pxd`, `_rules.pxd`: what drivers and cells tell each other, and rules of relevance;
- `_hidden.pxd`: what comes back to a hidden state, the same for every cell;
- `_lstm.pxd`, `_gru.pxd`, `_rnn.pxd`: the steps of a cell each;
- `_checks.pxi`, `_matrices.pxi`, `_dense.pxi`, `_pooling.pxi`: memory, checks, and layers without
  steps;
- `_sums.pxi`: what did not arrive of what was shared out;
- `_functions.pxi`: activations that are computed number by number;
- `_layers.pxi`, `_forward.pxi`, `_back.pxi`: recurrent layers, and the two drivers.
"""

cdef extern from *:
    """
    #if defined(__AVX512F__)
    #define LRPLSTM_INSTRUCTION_SET "x86-64-v4 (AVX-512)"
    #elif defined(__AVX2__)
    #define LRPLSTM_INSTRUCTION_SET "x86-64-v3 (AVX2)"
    #elif defined(__x86_64__)
    #define LRPLSTM_INSTRUCTION_SET "x86-64 baseline (SSE2)"
    #elif defined(__aarch64__)
    #define LRPLSTM_INSTRUCTION_SET "aarch64 baseline (NEON)"
    #else
    #define LRPLSTM_INSTRUCTION_SET "baseline"
    #endif
    """
    const char* LRPLSTM_INSTRUCTION_SET
    const int LRPLSTM_SANITIZE

cdef extern from "_processor.h":
    bint runs_v3()
    bint runs_v4()

INSTRUCTION_SET = LRPLSTM_INSTRUCTION_SET.decode()


def processor_runs():
    """Return which builds of the kernels this processor can run, the fastest last."""
    return ["baseline", *(["v3"] if runs_v3() else []), *(["v4"] if runs_v4() else [])]


include "lrplstm/_checks.pxi"
include "lrplstm/_matrices.pxi"
include "lrplstm/_dense.pxi"
include "lrplstm/_pooling.pxi"
include "lrplstm/_sums.pxi"
include "lrplstm/_functions.pxi"
include "lrplstm/_layers.pxi"
include "lrplstm/_forward.pxi"
include "lrplstm/_back.pxi"
