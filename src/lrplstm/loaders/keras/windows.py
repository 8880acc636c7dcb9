"""Keras layers that read windows of steps, or all steps: convolution and pooling."""

from __future__ import annotations

from typing import Any

from lrplstm.loaders.keras import arrays
from lrplstm.loaders.keras.activations import activate
from lrplstm.loaders.keras.recurrent import summed
from lrplstm.loaders.keras.translation import Tensor, Use, translates
from lrplstm.texts import shown

_PADDINGS = ("valid", "same", "causal")


def _channels_last(use: Use) -> None:
    if use.layer.get("data_format", "channels_last") not in ("channels_last", None):
        raise use.refuse("expected data_format 'channels_last'")


def _padding(use: Use) -> str:
    padding = use.layer.get("padding", use.layer.get("border_mode", "valid"))
    if padding not in _PADDINGS:
        raise use.refuse(f"expected padding of {', '.join(_PADDINGS)}, got {shown(padding)}")
    return str(padding)


def _pads(
    use: Use, steps: int | None, window: int, stride: int, padding: str
) -> tuple[dict[str, Any], int | None]:
    """Return ONNX's attributes for a padding, and how many windows there are.

    `window` is the number of steps from the first to the last of a window.
    """
    before = after = 0
    if padding == "causal":
        before = window - 1
    elif padding == "same" and stride == 1:
        before, after = (window - 1) // 2, window // 2
    elif padding == "same":
        # As many windows as strides fit in; where they begin depends on the number of steps.
        windows = None if steps is None else -(-steps // stride)
        if steps is None or windows is None:
            return {"auto_pad": "SAME_UPPER"}, None
        total = max((windows - 1) * stride + window - steps, 0)
        return {"pads": [total // 2, total - total // 2]}, windows
    if steps is None:
        return {"pads": [before, after]}, None
    windows = (steps + before + after - window) // stride + 1
    if windows < 1:
        raise use.refuse(f"expected at least {window} steps, got {steps}")
    return {"pads": [before, after]}, windows


@translates("Conv1D")
def _convolution(use: Use) -> Tensor:
    tensor, layer = use.one(), use.layer
    use.rank(tensor, 3)
    _channels_last(use)
    use.steps(tensor)
    has_bias = arrays.has_bias(layer)
    kernel, *bias = use.take("kernel", *(["bias"] if has_bias else []))
    arrays.check_shape(layer, "kernel", kernel, ("kernel_size", "inputs", "filters"))
    window, inputs, filters = kernel.shape
    for array in bias:
        arrays.check_shape(layer, "bias", array, (filters,))
    arrays.check_size(layer, ("filters",), filters)
    if layer.whole("kernel_size", default=window) != window:
        raise use.refuse(f"expected a kernel_size of {window} as its kernel has it")
    groups = layer.whole("groups", default=1)
    if filters % groups:
        raise use.refuse(f"expected filters in {groups} groups, got {filters}")
    use.width(tensor, inputs * groups)
    stride = layer.whole("strides", default=1)
    dilation = layer.whole("dilation_rate", default=1)
    pads, windows = _pads(use, tensor.shape[1], (window - 1) * dilation + 1, stride, _padding(use))
    attributes = {
        "kernel_shape": [window],
        "strides": [stride],
        "dilations": [dilation],
        "group": groups,
        **pads,
    }
    moved = use.transpose(tensor, 0, 2, 1)
    reads: list[Tensor | str] = [moved, use.constant("kernel", kernel.transpose(2, 1, 0))]
    reads += [use.constant("bias", array) for array in bias]
    made = use.emit("Conv", reads, (tensor.shape[0], filters, windows), attributes)
    return activate(use, use.transpose(made, 0, 2, 1), layer.get("activation"))


@translates("MaxPooling1D", "AveragePooling1D")
def _pooling(use: Use) -> Tensor:
    tensor, layer = use.one(), use.layer
    use.rank(tensor, 3)
    _channels_last(use)
    use.steps(tensor)
    window = layer.whole("pool_size", "pool_length", default=2)
    says_stride = any(layer.get(key) is not None for key in ("strides", "stride"))
    stride = layer.whole("strides", "stride") if says_stride else window
    padding = _padding(use)
    if padding == "causal":
        raise use.refuse("expected padding of valid, same, got 'causal'")
    pads, windows = _pads(use, tensor.shape[1], window, stride, padding)
    attributes = {"kernel_shape": [window], "strides": [stride], **pads}
    operator = "MaxPool" if layer.class_name == "MaxPooling1D" else "AveragePool"
    moved = use.transpose(tensor, 0, 2, 1)
    made = use.emit(operator, [moved], (tensor.shape[0], tensor.width, windows), attributes)
    return use.transpose(made, 0, 2, 1)


@translates("GlobalAveragePooling1D", "GlobalMaxPooling1D")
def _global_pooling(use: Use) -> Tensor:
    tensor, layer = use.one(), use.layer
    use.rank(tensor, 3)
    _channels_last(use)
    mean = layer.class_name == "GlobalAveragePooling1D"
    use.steps(tensor, heeds=mean, warns=not mean)
    operator = "ReduceMean" if mean else "ReduceMax"
    use.translation.settings["pooling"] = "mean" if mean else "max"
    keep = layer.says("keepdims")

    def pooled(tensor: Tensor) -> Tensor:
        batch, _, width = tensor.shape
        shape = (batch, 1, width) if keep else (batch, width)
        axis = use.integers("axis", 1)
        return use.emit(operator, [tensor, axis], shape, {"keepdims": int(keep)})

    if not mean or tensor.halves is None:
        return pooled(tensor)
    joined, factor = tensor.halves  # the mean of a sum is the sum of the means
    return summed(use, pooled(joined), factor)


@translates("ZeroPadding1D")
def _zero_padding(use: Use) -> Tensor:
    tensor = use.one()
    use.rank(tensor, 3)
    use.steps(tensor)
    before, after = _both_ends(use, "padding", 1)
    batch, steps, width = tensor.shape
    return use.emit(
        "Pad",
        [tensor, use.integers("pads", 0, before, 0, 0, after, 0)],
        (batch, None if steps is None else steps + before + after, width),
    )


@translates("Cropping1D")
def _cropping(use: Use) -> Tensor:
    tensor = use.one()
    use.rank(tensor, 3)
    use.steps(tensor)
    before, after = _both_ends(use, "cropping", 1)
    batch, steps, width = tensor.shape
    left = None if steps is None else steps - before - after
    if left is not None and left < 1:
        raise use.refuse(f"expected more than {before + after} steps, got {steps}")
    bounds = [
        use.integers(role, number)
        for role, number in (("start", before), ("end", -after if after else 2**31), ("axis", 1))
    ]
    return use.emit("Slice", [tensor, *bounds], (batch, left, width))


def _both_ends(use: Use, key: str, default: int) -> tuple[int, int]:
    """Return how many steps are put to, or taken from, both ends."""
    match use.layer.get(key, default):
        case bool():
            pass
        case int(number) if 0 <= number < 2**31:
            return number, number
        case [int(before), int(after)] if 0 <= before < 2**31 and 0 <= after < 2**31:
            return before, after
    raise use.refuse(f"expected one or two whole numbers as {key}, got {shown(use.layer.get(key))}")
