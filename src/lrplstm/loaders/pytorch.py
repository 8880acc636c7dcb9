"""PyTorch: modules, state dicts, and the files that they are saved in."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt

from lrplstm.activations import ACTIVATIONS
from lrplstm.base_model import Model
from lrplstm.checks import check_choice, to_array
from lrplstm.layers import POOLINGS
from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.registry import refuse_others
from lrplstm.loaders.tensors import as_tensor
from lrplstm.loaders.torch_finding import Request
from lrplstm.loaders.torch_weights import model_of_parts
from lrplstm.texts import shown, with_visible_errors
from lrplstm.weights import Array

__all__ = ["from_torch"]


@with_visible_errors
def from_torch(
    source: Any,
    *,
    lstm: str | Sequence[str] | None = None,
    head: str | Sequence[str] | Literal[False] | None = None,
    embedding: str | npt.ArrayLike | Literal[False] | None = None,
    activations: Sequence[str] | None = None,
    pooling: str | None = None,
    example: Any = None,
    check: bool = True,
    output: str | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
    task: str = "classification",
) -> Model:
    """Read a recurrent network of PyTorch: a module, a state dict, or a file of one.

    A module is read as its ``forward`` computes: it is run on a few short sequences, and has to
    have the model's scores. Weights alone show what a network is made of, not what it does between
    them: what is assumed is said in a warning, unless `pooling` and `activations` say it.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to tensors or arrays, str or path
        A module, in whatever mode and on whatever device; its state dict; or a file of that, which
        is .safetensors or what ``torch.save`` wrote (.pt, .pth, .bin, .ckpt). A checkpoint that
        contains one state dict with a recurrent layer will do, and so will a TorchScript archive,
        of which only the weights are read. Files are read without running anything in them, and
        without PyTorch.
    lstm : str or sequence of str, optional
        Path of the ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, such as "encoder.rnn"; of several that
        follow each other, first layer first. Default: all there are, if they have one order.
    head : str, sequence of str, or False, optional
        Path of the linear layer, or of the ``nn.Sequential`` of linear layers and activations, that
        makes the scores; several paths for what follows each other. False: no head, so that the
        scores are the hidden state. Default: found, if there is no doubt about it.
    embedding : str, array_like of shape (V, D), or False, optional
        Path of the ``nn.Embedding``, or an array instead of it. False: none, the LSTM reads floats.
        Default: found, if there is no doubt about it.
    activations : sequence of str, optional
        What follows each layer of the head, where no module shows it, such as "relu", "tanh" or
        "linear", see `lrplstm.activations`; that of the last may be left out. What stands between
        the LSTM and the head is said as ``head=["relu", "fc"]``.
    pooling : {"last", "mean", "max", "none"}, optional
        What the head reads; "last", which is ``h_n``, if nothing is said. See `lrplstm.LSTMModel`.
    example : tensor or array_like, tuple of arguments, or dict of them by name, optional
        What the module's ``forward`` takes, such as ids (B, T), ``(x, lengths)``, or several inputs
        ``(series, static)``: the scores are compared on this. Default: on made-up ids or numbers of
        several lengths, if it takes one argument.
    check : bool
        Whether to run a module and compare its scores with the model's, which have to agree to
        1e-4 of the largest, before or after a final softmax, log_softmax or sigmoid. It runs in
        evaluation mode, without gradients, and neither it nor the state of any random generator is
        changed. Modules without a ``forward``, and those of which parts are named with `lstm`,
        `head` or `embedding`, are weights alone, unless there is an `example`.
    output : str, optional
        Which of several things that ``forward`` returns is explained: its key in a dict, or its
        number in a tuple, such as "1". Default: the first.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id.
    class_names : sequence of str, optional
        What the classes, or outputs, are called.
    unknown_token : str, optional
        The token for all that the vocabulary lacks.
    tokenizer : str, optional
        What makes tokens of text, "treebank" or "whitespace".
    task : {"classification", "regression"}
        What the scores are for.

    Returns
    -------
    LSTMModel or Model
        An `LSTMModel` where the network has that shape. Its `origin` says which parts it was made
        from, and which were left out. float16 and bfloat16 become float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or a tensor not of floating point.
    ValueError
        If it is not clear which part is which, one cannot be explained, shapes or dtypes do not
        fit together, or a file cannot be read, is damaged, or holds more than tensors and plain
        data. If a module does something that is not read, has other scores, or cannot be run to
        see it; the error says where, or which arguments would fit.

    Warns
    -----
    UserWarning
        If `pooling`, `activations` or the order of layers have to be assumed, or ``forward``
        returns several things.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"rnn.weight_ih_l0": (8, 3), "rnn.weight_hh_l0": (8, 2), "rnn.bias_ih_l0": (8,),
    ...           "rnn.bias_hh_l0": (8,), "fc.weight": (4, 2), "fc.bias": (4,)}
    >>> state_dict = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    >>> model = lrplstm.from_torch(state_dict, pooling="last", activations=["linear"])
    >>> dict(model.origin)
    {'lstm': 'rnn', 'head': 'fc'}
    >>> model.predict(rng.normal(size=(5, 3))).shape
    (4,)
    """
    if pooling is not None:
        check_choice("pooling", pooling, POOLINGS)
    if not isinstance(check, bool):
        raise TypeError(f"check: expected True or False, got {shown(check)}")
    refuse_others(source, "from_torch")
    asked = _check_request(lstm, head, embedding, activations)
    module = _module(source)
    texts = {
        "vocabulary": vocabulary,
        "class_names": class_names,
        "unknown_token": unknown_token,
        "tokenizer": tokenizer,
        "task": task,
    }
    named = asked.lstms is not None or asked.head is not None or asked.embedding is not None
    runs = module is not None and check and (example is not None or not named)
    if runs or example is not None:
        runs = _runs(module, example)
    if _is_script(module) and not (runs and asked.is_empty and pooling is None):
        raise TypeError(
            "source: expected no TorchScript module where parts are named or check is False; pass "
            "its state_dict()"
        )
    if runs and example is None and _is_cell_layer(module):
        runs = check = False  # it computes what its class says
    if not runs or named or pooling is not None or activations is not None:
        if output is not None:
            raise ValueError("output: expected None but for a module that is read by its forward")
        return model_of_parts(
            source, module, asked, pooling, example, texts, runs=runs, check=check
        )
    return _of_forward(source, module, asked, example, output, texts)


def _of_forward(
    source: Any,
    module: Any,
    asked: Request,
    example: Any,
    output: str | None,
    texts: Mapping[str, Any],
) -> Model:
    """Return the model of a module of which nothing but its forward says how it is meant."""
    from lrplstm.loaders.torch_check import MixedError

    found = None
    if output is None and not _is_script(module):
        try:
            return model_of_parts(
                source, module, asked, None, example, texts, runs=True, check=True
            )
        except MixedError:
            raise
        except ValueError as error:
            found = error if _has_recurrent_layers(module) else None
        if found is not None and any(tensor.is_meta for tensor in module.parameters()):
            raise found
    # Imported here, since it is slow, and most modules are seen through without it.
    from lrplstm.loaders.torch_forward import model_of_forward

    try:
        return model_of_forward(sys.modules["torch"], module, example, output, **texts)
    except RefusedError as error:
        raise ValueError(
            f"source: {error}; head=False gives a model of the states, with hidden_relevance= for "
            "what comes after them"
        ) from None
    except ValueError as error:
        raise found or error from None


# What is asked for ------------------------------------------------------------------------------


def _check_request(lstm: Any, head: Any, embedding: Any, activations: Any) -> Request:
    lstms = None if lstm is None else _check_names("lstm", lstm)
    if head is not None:
        head = () if head is False else _check_names("head", head)
    if activations is not None:
        activations = _check_names("activations", activations, least=0)
        for activation in activations:
            check_choice("activations", activation, ACTIVATIONS)
        if head == ():
            raise ValueError("activations: expected None where there is no head")
    array = None
    if embedding is not None and embedding is not False and not isinstance(embedding, str):
        array, embedding = _check_embedding(embedding), False
    return Request(lstms, head, activations, embedding, array)


def _check_names(argument: str, value: Any, least: int = 1) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument}: expected a name or a sequence of names, got {shown(value)}")
    if len(names) < least:
        raise ValueError(f"{argument}: expected at least one name, got none")
    return tuple(names)


def _check_embedding(embedding: Any) -> Array:
    """Return an array in place of an embedding; its shape and numbers are the model's to check."""
    tensor = as_tensor("embedding", embedding)
    array = to_array("embedding", embedding) if tensor is None else tensor.read("embedding")
    if array.dtype.kind not in "fiu":
        raise TypeError(
            "embedding: expected a name, an array of numbers or False, "
            f"got {type(embedding).__name__}"
        )
    return array


def _module(source: Any) -> Any:
    """Return the source if it is a module of PyTorch, else None."""
    torch = sys.modules.get("torch")  # what nobody has imported, no module can be of
    if torch is None or not isinstance(source, torch.nn.Module):
        return None
    return source


def _is_script(module: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(module, torch.jit.ScriptModule)


def _has_recurrent_layers(module: Any) -> bool:
    nn = sys.modules["torch"].nn
    return any(isinstance(part, nn.RNNBase | nn.RNNCellBase) for part in module.modules())


def _is_cell_layer(module: Any) -> bool:
    """Whether a module is a recurrent layer itself, other than an LSTM."""
    if _is_script(module):
        return False
    nn = sys.modules["torch"].nn
    others = type(module).forward in (nn.GRU.forward, nn.RNN.forward)
    return others or (type(module).forward is nn.LSTM.forward and module.proj_size > 0)


def _runs(module: Any, example: Any) -> bool:
    """Whether there is a forward to run, which there has to be for an example."""
    # Imported here, so that only those who have a module wait for it.
    from lrplstm.loaders.torch_run import has_forward, unwrapped

    torch = sys.modules.get("torch")
    if module is not None and has_forward(torch, unwrapped(torch, module)):
        return True
    if example is not None:
        raise ValueError("example: expected None for weights alone, which have no forward to run")
    return False
