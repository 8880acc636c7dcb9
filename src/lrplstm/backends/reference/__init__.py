"""The readable specification of a backend, in NumPy: one sequence, one step at a time.

It has the functions of `lrplstm.scans.Scans`. A cell is a file with its steps, of which `CELLS` in
`scan.py` is the table; the scan over them knows none.

Notation: i, f, g, o are the gates, a^g the pre-activation of g, c and h the states, R_z the
relevance of z.
"""

from __future__ import annotations

from lrplstm.backends.reference.dense import (
    activate,
    activation_gradient,
    linear,
    linear_gradient,
    linear_lrp,
    prepare_linear,
)
from lrplstm.backends.reference.pooling import pool, pool_gradient, pool_lrp
from lrplstm.backends.reference.remainder import remainder
from lrplstm.backends.reference.scan import (
    bytes_per_step,
    decompose_scan,
    forward_scan,
    gradient_scan,
    has_cell,
    lrp_scan,
    prepare_layer,
    project,
)

__all__ = [
    "activate",
    "activation_gradient",
    "bytes_per_step",
    "decompose_scan",
    "forward_scan",
    "gradient_scan",
    "has_cell",
    "linear",
    "linear_gradient",
    "linear_lrp",
    "lrp_scan",
    "pool",
    "pool_gradient",
    "pool_lrp",
    "prepare_layer",
    "prepare_linear",
    "project",
    "remainder",
]
