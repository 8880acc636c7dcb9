"""PyTorch's operators in terms of ONNX's: a function each, with the arguments of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lrplstm.loaders.torch_shapes import pieces
from lrplstm.loaders.torch_values import OPERATORS, Translation, Value, operator

__all__ = ["UNCHANGED"]

UNCHANGED = frozenset(
    "contiguous clone detach alias lift_fresh lift_fresh_copy dropout feature_dropout "
    "alpha_dropout feature_alpha_dropout type_as to _to_copy positive resolve_conj "
    "nan_to_num".split()
)
"""What changes no number, of those that are finite, of a network in evaluation mode."""

# Number by number -------------------------------------------------------------------------------

_UNARY: dict[str, tuple[str, dict[str, str]]] = {
    # of PyTorch: of ONNX, and ONNX's attributes by PyTorch's arguments
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"negative_slope": "alpha"}),
    "elu": ("Elu", {"alpha": "alpha"}),
    "celu": ("Celu", {"alpha": "alpha"}),
    "selu": ("Selu", {}),
    "gelu": ("Gelu", {"approximate": "approximate"}),
    "softplus": ("Softplus", {}),
    "mish": ("Mish", {}),
    "hardswish": ("HardSwish", {}),
    "exp": ("Exp", {}),
    "log": ("Log", {}),
    "sqrt": ("Sqrt", {}),
    "abs": ("Abs", {}),
    "neg": ("Neg", {}),
    "reciprocal": ("Reciprocal", {}),
    "sin": ("Sin", {}),
    "cos": ("Cos", {}),
    "erf": ("Erf", {}),
}


_USUAL = {"scale": 1, "input_scale": 1, "beta": 1, "threshold": 20}
"""Arguments of activations that ONNX's have no names for: of elu, and of softplus."""


def _unary(operator: str, renamed: dict[str, str]) -> Callable[..., Value]:
    def read(t: Translation, out: Any, *, self: Value, **given: Any) -> Value:
        attributes = {name: given.pop(argument) for argument, name in renamed.items()}
        attributes = {k: float(v) if isinstance(v, int) else v for k, v in attributes.items()}
        for name, value in given.items():
            if value not in (None, _USUAL.get(name)):
                raise t.refuse(f"{operator} with {name}={value}")
        return t.emit(operator, [self], out, **attributes)

    return read


for _name, (_onnx, _renamed) in _UNARY.items():
    OPERATORS[_name] = _unary(_onnx, _renamed)


@operator("silu")
def _silu(t: Translation, out: Any, *, self: Value) -> Value:
    gate = t.emit("Sigmoid", [self], self.tensor.sigmoid())
    return t.emit("Mul", [self, gate], out)


@operator("hardsigmoid")
def _hardsigmoid(t: Translation, out: Any, *, self: Value) -> Value:
    return t.emit("HardSigmoid", [self], out, alpha=1 / 6, beta=0.5)


@operator("relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max")
def _clip(
    t: Translation,
    out: Any,
    *,
    self: Value,
    name: str,
    min: Any = None,
    max: Any = None,
    min_val: Any = None,
    max_val: Any = None,
) -> Value:
    least, most = (a if b is None else b for a, b in ((min, min_val), (max, max_val)))
    if name == "relu6":
        least, most = 0, 6
    if least == 0 and most is None:
        return t.emit("Relu", [self], out)
    bounds = [None if bound is None else _operand(t, bound, self) for bound in (least, most)]
    return t.emit("Clip", [self, *bounds], out)


@operator("log_sigmoid")
def _log_sigmoid(t: Translation, out: Any, *, self: Value) -> Value:
    return t.emit("Log", [t.emit("Sigmoid", [self], self.tensor.sigmoid())], out)


@operator("square")
def _square(t: Translation, out: Any, *, self: Value) -> Value:
    return t.emit("Mul", [self, self], out)


@operator("rsqrt")
def _rsqrt(t: Translation, out: Any, *, self: Value) -> Value:
    return t.emit("Reciprocal", [t.emit("Sqrt", [self], self.tensor.sqrt())], out)


@operator("pow")
def _pow(t: Translation, out: Any, *, self: Value, exponent: Any) -> Value:
    if exponent == 2:
        return t.emit("Mul", [self, self], out)
    return t.emit("Pow", [self, _operand(t, exponent, self)], out)


@operator("prelu", "_prelu_kernel")
def _prelu(t: Translation, out: Any, *, self: Value, weight: Value) -> Value:
    if weight.tensor.numel() > 1 and self.rank > 1:  # of each channel, the second axis
        shape = [-1] + [1] * (self.rank - 2)
        weight = t.known(weight.tensor.reshape(shape))
    return t.emit("PRelu", [self, weight], out)


@operator("glu")
def _glu(t: Translation, out: Any, *, self: Value, dim: int) -> Value:
    signal, gate = pieces(t, self, dim, [self.shape[dim] // 2] * 2)
    return t.emit("Mul", [signal, t.emit("Sigmoid", [gate], gate.tensor.sigmoid())], out)


def _operand(t: Translation, value: Any, like: Value) -> Value:
    return value if isinstance(value, Value) else t.number(float(value), like)


def _is_all(value: Any, number: float) -> bool:
    """Whether it is a constant, and every number of it is this."""
    if not isinstance(value, Value):
        return bool(value == number)
    return value.constant and not value.written and bool((value.tensor == number).all())


@operator("add")
def _add(t: Translation, out: Any, *, self: Any, other: Any, alpha: Any = 1) -> Value:
    if alpha != 1:
        other = _scaled(t, _operand(t, other, self), alpha)
    for one, another in ((self, other), (other, self)):
        if _is_all(another, 0) and one.shape == tuple(out.shape):
            return one
    return t.emit("Add", [self, _operand(t, other, self)], out)


@operator("sub", "subtract")
def _sub(t: Translation, out: Any, *, self: Any, other: Any, alpha: Any = 1) -> Value:
    like = self if isinstance(self, Value) else other
    other = _operand(t, other, like)
    other = other if alpha == 1 else _scaled(t, other, alpha)
    return t.emit("Sub", [_operand(t, self, like), other], out)


@operator("rsub")
def _rsub(t: Translation, out: Any, *, self: Value, other: Any, alpha: Any = 1) -> Value:
    return _sub(t, out, self=other, other=self, alpha=alpha)


def _scaled(t: Translation, value: Value, factor: float) -> Value:
    return t.emit("Mul", [value, t.number(factor, value)], value.tensor * factor)


@operator("mul", "multiply")
def _mul(t: Translation, out: Any, *, self: Any, other: Any) -> Value:
    for one, another in ((self, other), (other, self)):
        if _is_all(another, 1) and one.shape == tuple(out.shape):
            return one
    return t.emit("Mul", [self, _operand(t, other, self)], out)


@operator("div", "divide", "true_divide")
def _div(t: Translation, out: Any, *, self: Any, other: Any, rounding_mode: Any = None) -> Value:
    if rounding_mode is not None:
        raise t.refuse("a division with rounding")
    if _is_all(other, 1) and self.shape == tuple(out.shape):
        return self
    like = self if isinstance(self, Value) else other
    return t.emit("Div", [_operand(t, self, like), _operand(t, other, like)], out)


@operator("maximum")
def _maximum(t: Translation, out: Any, *, self: Value, other: Value) -> Value:
    return t.emit("Max", [self, other], out)


@operator("minimum")
def _minimum(t: Translation, out: Any, *, self: Value, other: Value) -> Value:
    return t.emit("Min", [self, other], out)


@operator("masked_fill")
def _masked_fill(t: Translation, out: Any, *, self: Value, mask: Value, value: Any) -> Value:
    if _is_all(mask, 0):
        return self
    return t.emit("Where", [mask, _operand(t, value, self), self], out)


@operator("where")
def _where(t: Translation, out: Any, *, condition: Value, self: Any, other: Any) -> Value:
    for one, number in ((self, 1), (other, 0)):
        if _is_all(condition, number) and isinstance(one, Value) and one.shape == tuple(out.shape):
            return one
    like = self if isinstance(self, Value) else other
    return t.emit("Where", [condition, _operand(t, self, like), _operand(t, other, like)], out)


@operator("softmax", "_softmax", "log_softmax", "_log_softmax")
def _softmax(t: Translation, out: Any, *, self: Value, dim: int, name: str, **_: Any) -> Value:
    operator = "LogSoftmax" if "log" in name else "Softmax"
    return t.emit(operator, [self], out, axis=dim % self.rank)


# Linear layers ----------------------------------------------------------------------------------


@operator("embedding")
def _embedding(t: Translation, out: Any, *, weight: Value, indices: Value, **_: Any) -> Value:
    return t.emit("Gather", [weight, indices], out, axis=0)


@operator("linear")
def _linear(
    t: Translation, out: Any, *, input: Value, weight: Value, bias: Value | None = None
) -> Value:
    if weight.constant:
        matrix = t.known(weight.tensor.t())
        t.called(matrix, weight, "transposed")
    else:
        matrix = t.transposed(weight, [1, 0])
    return _plus(t, t.emit("MatMul", [input, matrix], input.tensor @ matrix.tensor), bias, out)


def _plus(t: Translation, product: Value, bias: Value | None, out: Any) -> Value:
    if bias is None:
        return product
    return t.emit("Add", [product, bias], out)


@operator("matmul", "mm", "bmm", "mv", "dot")
def _matmul(t: Translation, out: Any, *, self: Value, **others: Value) -> Value:
    (other,) = others.values()
    return t.emit("MatMul", [self, other], out)


@operator("addmm", "baddbmm")
def _addmm(
    t: Translation, out: Any, *, self: Value, beta: float, alpha: float, **factors: Value
) -> Value:
    if beta != 1 or alpha != 1:
        raise t.refuse("a sum of products with factors")
    one, another = factors.values()
    product = t.emit("MatMul", [one, another], one.tensor @ another.tensor)
    return _plus(t, product, self, out)


@operator("scaled_dot_product_attention")
def _attention(
    t: Translation,
    out: Any,
    *,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None,
    is_causal: bool,
    scale: float | None,
    **_: Any,
) -> Value:
    if is_causal:
        raise t.refuse("attention that is causal")
    order = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
    scores = query.tensor @ key.tensor.mT
    value_of = t.emit("MatMul", [query, t.transposed(key, order)], scores)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    value_of = _scaled(t, value_of, factor)
    if attn_mask is not None and not attn_mask.tensor.is_floating_point():
        if not _is_all(attn_mask, 1):
            raise t.refuse("attention with a mask that is not all True")
        attn_mask = None
    if attn_mask is not None:
        value_of = t.emit("Add", [value_of, attn_mask], value_of.tensor + attn_mask.tensor)
    weights = t.emit("Softmax", [value_of], value_of.tensor.softmax(-1), axis=value_of.rank - 1)
    return t.emit("MatMul", [weights, value], out)


# Convolution, pooling, normalization ------------------------------------------------------------


@operator("conv1d")
def _conv1d(
    t: Translation,
    out: Any,
    *,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Any,
    dilation: Sequence[int],
    groups: int,
) -> Value:
    size, span = weight.shape[-1], _one(dilation) * (weight.shape[-1] - 1)
    if padding == "same":
        pads = [span // 2, span - span // 2]
    else:
        pads = [0 if padding == "valid" else _one(padding)] * 2
    return t.emit(
        "Conv",
        [input, weight] if bias is None else [input, weight, bias],
        out,
        kernel_shape=[size],
        strides=[_one(stride)],
        pads=pads,
        dilations=[_one(dilation)],
        group=groups,
    )


def _one(sizes: Any) -> int:
    return sizes if isinstance(sizes, int) else int(sizes[0])


@operator("max_pool1d", "avg_pool1d", "max_pool1d_with_indices")
def _pool1d(
    t: Translation,
    out: Any,
    *,
    self: Value,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    name: str,
    dilation: Any = 1,
    count_include_pad: bool = True,
) -> Any:
    out = out[0] if isinstance(out, tuple) else out
    average = name == "avg_pool1d"
    size, pad = _one(kernel_size), _one(padding)
    if size == self.shape[-1] and out.shape[-1] == 1 and not pad:
        pooled = t.emit("GlobalAveragePool" if average else "GlobalMaxPool", [self], out)
    else:
        counted = {"count_include_pad": int(count_include_pad)} if average else {}
        pooled = t.emit(
            "AveragePool" if average else "MaxPool",
            [self],
            out,
            kernel_shape=[size],
            strides=[_one(stride) if stride else size],
            pads=[pad, pad],
            dilations=[_one(dilation)],
            ceil_mode=int(ceil_mode),
            **counted,
        )
    return (pooled, None) if name.endswith("indices") else pooled


@operator("adaptive_avg_pool1d", "adaptive_max_pool1d")
def _adaptive(t: Translation, out: Any, *, self: Value, output_size: Any, name: str) -> Any:
    tensor = out[0] if isinstance(out, tuple) else out
    if _one(output_size) != 1:
        raise t.refuse(f"{name} to more than one step")
    pooled = t.emit("GlobalAveragePool" if "avg" in name else "GlobalMaxPool", [self], tensor)
    return (pooled, None) if isinstance(out, tuple) else pooled


@operator("batch_norm")
def _batch_norm(
    t: Translation,
    out: Any,
    *,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    eps: float,
    **_: Any,
) -> Value:
    if running_mean is None or running_var is None or training:
        raise t.refuse("batch normalization by the batch's own mean, also in evaluation")
    like = running_mean.tensor
    weight = weight or t.known(like.new_ones(like.shape))
    bias = bias or t.known(like.new_zeros(like.shape))
    return t.emit(
        "BatchNormalization", [input, weight, bias, running_mean, running_var], out, epsilon=eps
    )


@operator("layer_norm")
def _layer_norm(
    t: Translation,
    out: Any,
    *,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
    **_: Any,
) -> Value:
    weight = weight or t.known(input.tensor.new_ones(list(normalized_shape)))
    return t.emit(
        "LayerNormalization",
        [input, weight] if bias is None else [input, weight, bias],
        out,
        axis=-len(normalized_shape),
        epsilon=eps,
    )


@operator("rms_norm")
def _rms_norm(
    t: Translation,
    out: Any,
    *,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None,
    eps: float | None,
) -> Value:
    if len(normalized_shape) != 1:
        raise t.refuse("RMS normalization over several axes")
    eps = t.torch.finfo(input.tensor.dtype).eps if eps is None else eps
    squares = t.emit("Mul", [input, input], input.tensor.square())
    mean = t.emit(
        "ReduceMean", [squares], squares.tensor.mean(-1, keepdim=True), axes=[-1], keepdims=1
    )
    shifted = t.emit("Add", [mean, t.number(eps, input)], mean.tensor + eps)
    root = t.emit("Sqrt", [shifted], shifted.tensor.sqrt())
    scaled = t.emit("Div", [input, root], input.tensor / root.tensor)
    return scaled if weight is None else t.emit("Mul", [scaled, weight], out)


# Sums, means and largest ------------------------------------------------------------------------

_REDUCED = {"mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax", "max": "ReduceMax"}


@operator("amin", "min")
def _smallest(t: Translation, out: Any, *, self: Value, name: str, **given: Any) -> Any:
    """Return the smallest: what is largest of the opposites, turned round again."""
    if given.get("other") is not None:
        return _minimum(t, out, self=self, other=given["other"])
    tensor = out[0] if isinstance(out, tuple) else out
    opposite = t.emit("Neg", [self], -self.tensor)
    largest = _reduced(t, -tensor, self=opposite, name="amax", **given)
    smallest = t.emit("Neg", [largest], tensor)
    return (smallest, None) if isinstance(out, tuple) else smallest


@operator(*_REDUCED)
def _reduced(
    t: Translation,
    out: Any,
    *,
    self: Value,
    name: str,
    dim: Any = None,
    keepdim: bool = False,
    other: Value | None = None,
    dtype: Any = None,
) -> Any:
    if other is not None:
        return t.emit("Max", [self, other], out)
    tensor = out[0] if isinstance(out, tuple) else out
    axes = [dim] if isinstance(dim, int) else list(dim or range(self.rank))
    reduced = t.emit(
        _REDUCED[name],
        [self],
        tensor,
        axes=sorted(axis % self.rank for axis in axes),
        keepdims=int(keepdim),
    )
    return (reduced, None) if isinstance(out, tuple) else reduced
