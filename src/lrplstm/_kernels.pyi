from collections.abc import Sequence
from typing import Any

from lrplstm.rules import EpsilonRule
from lrplstm.scans import DecomposeResult, ForwardResult, GradientResult, LRPResult
from lrplstm.weights import Array, CellWeights

INSTRUCTION_SET: str

def processor_runs() -> list[str]: ...
def prepare_linear(weight: Array, bias: Array | None) -> Any: ...
def linear(layer: Any, y: Array) -> Array: ...
def linear_lrp(layer: Any, y: Array, z: Array, relevance: Array, rule: EpsilonRule) -> Array: ...
def linear_gradient(layer: Any, gradient: Array) -> Array: ...
def activate(activation: str, z: Array) -> Array: ...
def activation_gradient(activation: str, value: Array, gradient: Array) -> Array: ...
def pool(pooling: str, hidden: Array, offsets: Array) -> Array: ...
def pool_lrp(
    pooling: str, hidden: Array, offsets: Array, pooled: Array, relevance: Array, rule: EpsilonRule
) -> Array: ...
def pool_gradient(pooling: str, hidden: Array, offsets: Array, gradient: Array) -> Array: ...
def has_cell(directions: Sequence[CellWeights]) -> bool: ...
def prepare_layer(directions: Sequence[CellWeights]) -> Any: ...
def bytes_per_step(layer: Any) -> int: ...
def project(layer: Any, x: Array) -> Array: ...
def forward_scan(
    layer: Any,
    projection: Array,
    rows: Array,
    offsets: Array,
    keep: str,
    hidden: bool,
    start: tuple[Array, ...] | None = None,
) -> ForwardResult: ...
def lrp_scan(
    trace: Any,
    final_relevance: Array | None,
    hidden_relevance: Array | None,
    inputs: Array | None,
    rule: EpsilonRule,
    product_rule: str,
    others: tuple[Any, ...] = (),
) -> LRPResult: ...
def gradient_scan(
    trace: Any,
    final_gradient: Array | None,
    hidden_gradient: Array | None,
    times_input: bool,
    others: tuple[Any, ...] = (),
    *,
    times: tuple[Array, Array] | None = None,
) -> GradientResult: ...
def decompose_scan(
    trace: Any,
    owner: Array,
    relevant: Array,
    rows: Array,
    phrase: Array,
    offsets: Array,
    hidden: bool,
    start: tuple[Array, ...] | None = None,
) -> DecomposeResult: ...
