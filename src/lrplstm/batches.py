"""A batch through the network, part by part and in several threads: the only such loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrplstm import network
from lrplstm.backends import choose
from lrplstm.network import ForwardPass, Prepared
from lrplstm.sequences import Batch, Part

__all__ = ["for_each_part"]


def for_each_part(
    prepared: Prepared,
    batch: Batch,
    run: Callable[[Part, ForwardPass], None],
    keep: str,
    num_threads: int | None,
    *,
    targets: int = 0,
    inputs: bool = False,
) -> None:
    """Run the network over a batch, and call `run` with each part and its forward pass.

    Parameters
    ----------
    prepared, batch
        The network and what it reads.
    run : callable
        Called in any order and by several threads at once.
    keep : str
        What the forward pass keeps for the way back, see `lrplstm.network.forward`.
    num_threads : int, optional
        Default: as many as there are processors to use.
    targets : int
        How many are explained at once; parts are small enough for that.
    inputs : bool
        Whether the forward pass keeps what the network read.
    """
    source = prepared.source(batch)

    def forward_and_run(part: Part) -> None:
        # Kernels say nothing of overflow, and neither shall NumPy.
        with np.errstate(over="ignore", invalid="ignore"):
            reading = network.read(prepared, batch, source, part, inputs)
            run(part, network.forward(prepared, reading, keep))

    threads = choose.count_threads(num_threads)
    parts = batch.parts(prepared.bytes_per_step(targets), threads)
    choose.for_each(forward_and_run, parts, threads)
