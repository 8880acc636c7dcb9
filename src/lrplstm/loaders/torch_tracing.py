"""What a PyTorch module computes: the operations that it calls when it runs once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Operation", "Recording", "line_of", "packed", "record"]


class Operation(NamedTuple):
    """A call of one of PyTorch's operators.

    Attributes
    ----------
    name : str
        As PyTorch calls it, without the overload: "softmax".
    function : callable
        What computes it.
    arguments : mapping
        By the names of its schema, those at their defaults too, with nodes for tensors.
    node : torch.fx.Node
        What it gives.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    node: Any


class Recording(NamedTuple):
    """One run of a module.

    Attributes
    ----------
    graph : torch.fx.GraphModule
    inputs : sequence of tensors
        What stands for each placeholder.
    is_uneven : bool
        Whether sequences were packed that are not all of one length, as if they were.
    """

    graph: Any
    inputs: Sequence[Any]
    is_uneven: bool = False

    def operations(self) -> Iterator[Any]:
        """Yield the calls as `Operation`, and other nodes as they are, in their order."""
        for node in self.graph.graph.nodes:
            schema = getattr(node.target, "_schema", None)
            if node.op != "call_function" or schema is None:
                yield node
                continue
            arguments = {
                argument.name: argument.default_value
                for argument in schema.arguments
                if argument.has_default_value()
            }
            names = [argument.name for argument in schema.arguments]
            arguments.update(zip(names, node.args, strict=False))
            arguments.update(node.kwargs)
            name = schema.name.removeprefix("aten::")
            yield Operation(name, node.target, arguments, node)


def record(
    torch: Any, function: Callable[..., Any], inputs: Sequence[Any], *, lines: bool = False
) -> Recording:
    """Run a function of tensors once, and return what it called.

    Loops are recorded step by step, and what depends on numbers as it was for these. Packing is
    replaced by nothing, as it is where all sequences have the same length.

    Parameters
    ----------
    torch : module
    function : callable
        Of a module in evaluation mode.
    inputs : sequence of tensors
    lines : bool
        Whether to note where each call is in the user's code, which takes long.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    with ExitStack() as stack:
        whole = stack.enter_context(_whole_sequences(torch))
        einsum = torch.ops.aten.einsum.default
        tracer = make_fx(
            function,
            decomposition_table={einsum: einsum.decompose},
            tracing_mode="real",
            pre_dispatch=True,
            _allow_non_fake_inputs=True,
            _error_on_data_dependent_ops=False,
            record_stack_traces=lines,
        )
        return Recording(tracer(*inputs), inputs, whole.is_uneven)


def line_of(torch: Any, node: Any) -> str:
    """Return where in the user's code a node was called, if that was noted."""
    frames = re.findall(
        r'File "([^"]+)", line (\d+), in (\w+)\n\s+(.*)', node.meta.get("stack_trace") or ""
    )
    library = Path(torch.__file__).parent
    own = [frame for frame in frames if library not in Path(frame[0]).parents]
    if not own:
        return ""
    file, line, name, code = own[-1]
    return f"{Path(file).name}:{line}, in {name}: {code:.80}"


@contextmanager
def _whole_sequences(torch: Any) -> Iterator[Any]:
    """Let sequences be packed as they are, all of the same length, and attention be plain sums."""
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import _disable_current_modes

    def filled(count: int, number: int) -> Any:
        with _disable_current_modes():  # lengths are no part of what is computed
            return torch.full((count,), number)

    class Whole(TorchFunctionMode):
        is_uneven = False

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            name = getattr(function, "__name__", "")
            if name == "_pack_padded_sequence":
                padded, lengths, batch_first = args
                T = padded.shape[1 if batch_first else 0]
                with _disable_current_modes():
                    self.is_uneven |= bool((lengths != T).any())
                padded = padded.transpose(0, 1) if batch_first else padded
                return padded.reshape(-1, *padded.shape[2:]), filled(T, padded.shape[1])
            if name == "_pad_packed_sequence":
                data, sizes, batch_first, *_ = args
                padded = data.view(len(sizes), -1, *data.shape[1:])
                lengths = filled(padded.shape[1], len(sizes))
                return (padded.transpose(0, 1) if batch_first else padded), lengths
            if name in _RECURRENT and type(args[3]) in (tuple, list):
                data, sizes, states, weights, *rest = args
                padded = data.view(len(sizes), -1, data.shape[-1])
                output, *final = function(padded, states, weights, *rest, False)
                return output.reshape(-1, output.shape[-1]), *final
            if name == "multi_head_attention_forward":
                return _attention(torch, *args, **kwargs)
            return function(*args, **kwargs)

    with Whole() as whole:
        yield whole


@contextmanager
def packed(torch: Any, lengths: Sequence[int]) -> Iterator[None]:
    """Let recurrent layers read sequences at these lengths, as if they were packed.

    Layers that read another number of sequences, or of steps, are left as they are.
    """
    from torch.overrides import TorchFunctionMode

    class Packed(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = getattr(function, "__name__", "")
            if name not in _RECURRENT or type(args[3]) in (tuple, list) or args[0].ndim != 3:
                return function(*args, **(kwargs or {}))
            x, states, *others, batch_first = args
            axis = 0 if batch_first else 1
            if x.shape[axis] != len(lengths) or x.shape[1 - axis] < max(lengths):
                return function(*args)
            steps, order = torch.tensor(lengths).sort(descending=True)
            begin = [state[:, order] for state in states] if name == "lstm" else states[:, order]
            data, sizes = torch._pack_padded_sequence(
                x.index_select(axis, order), steps, batch_first
            )
            output, *final = function(data, sizes, begin, *others)
            T, back = x.shape[1 - axis], order.argsort()
            output, _ = torch._pad_packed_sequence(output, sizes, batch_first, 0.0, T)
            return output.index_select(axis, back), *(state[:, back] for state in final)

    with Packed():
        yield


_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def _attention(
    torch: Any,
    query: Any,
    key: Any,
    value: Any,
    width: int,
    heads: int,
    weight: Any,
    bias: Any,
    *others: Any,
    out_proj_weight: Any = None,
    out_proj_bias: Any = None,
    use_separate_proj_weight: bool = False,
    need_weights: bool = True,
    key_padding_mask: Any = None,
    attn_mask: Any = None,
    **options: Any,
) -> Any:
    """Return what `torch.nn.functional.multi_head_attention_forward` does, head by head.

    PyTorch keeps all heads in one axis with the sequences.
    """
    functional = torch.nn.functional
    names = ("bias_k", "bias_v", "add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias")
    given = dict(zip(names, others, strict=False)) | options
    if given.get("bias_k") is not None or given.get("add_zero_attn") or query.ndim != 3:
        raise ValueError("attention with a bias as a further step, or without a batch")
    output_weight = given.get("out_proj_weight", out_proj_weight)
    output_bias = given.get("out_proj_bias", out_proj_bias)
    if use_separate_proj_weight:
        weights = [options[f"{letter}_proj_weight"] for letter in "qkv"]
    else:
        weights = weight.split(width)
    biases = [None] * 3 if bias is None else bias.split(width)
    size = width // heads
    added = _added(torch, key_padding_mask, attn_mask, query.dtype)
    contexts, maps = [], []
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        q, k, v = (
            functional.linear(source.transpose(0, 1), w[rows], None if b is None else b[rows])
            for source, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        scores = q @ k.transpose(1, 2) * size**-0.5
        maps.append((scores if added is None else scores + added).softmax(-1))
        contexts.append(maps[-1] @ v)
    joined = contexts[0] if heads == 1 else torch.cat(contexts, -1)
    output = functional.linear(joined, output_weight, output_bias).transpose(0, 1)
    return output, torch.stack(maps, 1).mean(1) if need_weights else None


def _added(torch: Any, padding: Any, mask: Any, dtype: Any) -> Any:
    """Return what masks add to the scores of attention, (1 or B, T, T); None if there are none."""
    masks = []
    if padding is not None:
        masks.append(padding[:, None])
    if mask is not None:
        if mask.ndim != 2:
            raise ValueError("attention with a mask for each head")
        masks.append(mask[None])
    total = None
    for each in masks:
        if each.dtype == torch.bool:
            each = torch.zeros(each.shape, dtype=dtype).masked_fill(each, float("-inf"))
        total = each if total is None else total + each
    return total
