"""Operators that multiply what depends on the input with what depends on it too."""

from __future__ import annotations

from lrplstm.graph.linear import compute, matmul, of_two
from lrplstm.graph.operators import Call, Value, operator
from lrplstm.graph.tracing import Traced
from lrplstm.layers import Multiply
from lrplstm.loaders.refusals import RefusedError


@operator("Mul")
def _multiply(call: Call) -> Value:
    first, second = call.value(0), call.value(1)
    if not isinstance(first, Traced) or not isinstance(second, Traced):
        return compute(call)
    return of_two(call, Multiply(), [first, second])


@operator("MatMul")
def _matmul(call: Call) -> Value:
    first, second = call.value(0), call.value(1)
    if not isinstance(first, Traced) or not isinstance(second, Traced):
        return matmul(call)
    raise RefusedError("it is the product of two things that the input decides")
