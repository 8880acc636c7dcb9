"""What a PyTorch network is made of: its modules, or what a state dict shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lrplstm.loaders.tensors import Tensor, as_tensor
from lrplstm.texts import shown

__all__ = ["Part", "below", "list_parts", "parts_of_module", "parts_of_state_dict"]

_MOST_LISTED = 12


@dataclass(frozen=True, eq=False)
class Part:
    """A module, or the tensors of a state dict that begin with the same name.

    Attributes
    ----------
    name : str
        Its path with dots; "" is the whole network.
    kind : str
        What errors call it, such as "Linear".
    roles : frozenset of str
        What it can be in a network: "recurrent", "linear", "embedding", "relu", "tanh",
        "probabilities" (softmax and others like it), "sequence" (its parts follow each other),
        "nothing" (it changes nothing when there is no training) or "frame" (it only holds others).
    tensors : mapping of str to Tensor
        Its own, by their names within it.
    width : int, optional
        How many numbers a linear layer or an LSTM reads, or an embedding gives.
    gives : int, optional
        How many numbers a recurrent layer gives.
    activation : str
        That of a plain recurrent layer.
    fault : str, optional
        Why it does not compute what its kind says.
    """

    name: str
    kind: str
    roles: frozenset[str]
    tensors: Mapping[str, Tensor]
    width: int | None = None
    fault: str | None = None
    gives: int | None = None
    activation: str = "tanh"

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.kind:.100})"

    @property
    def cell(self) -> str:
        """What a recurrent layer is made of: "LSTM", "GRU" or "RNN"; empty for others."""
        kinds = ("LSTM", "GRU", "RNN") if "recurrent" in self.roles else ()
        return next((kind for kind in kinds if kind in self.kind), kinds[0] if kinds else "")

    @property
    def lacks_weight(self) -> bool:
        """Whether it has a bias only, as what is left of a layer whose weight is tied."""
        return self.tensors.keys() == {"bias"}

    @property
    def matters(self) -> bool:
        """Whether a network without it is another one."""
        harmless = {"nothing", "frame", "sequence", "probabilities"}
        return self.fault is not None or not self.roles & harmless

    def full(self, tensor: str) -> str:
        """Return the name of one of its tensors within the network."""
        return f"{self.name}.{tensor}" if self.name else tensor

    def within(self, name: str) -> bool:
        """Whether it is the part of this name, or lies within that."""
        return not name or f"{self.name}.".startswith(f"{name}.")


def below(parts: Mapping[str, Part], name: str) -> list[Part]:
    """Return the part of this name and all within it."""
    return [part for part in parts.values() if part.within(name)]


def list_parts(parts: Iterable[Part]) -> str:
    """Return the names of parts for an error."""
    texts = [str(part) for part in parts]
    if len(texts) > _MOST_LISTED:
        texts[_MOST_LISTED:] = [f"{len(texts) - _MOST_LISTED} more"]
    return ", ".join(texts) or "none"


# Modules ----------------------------------------------------------------------------------------

_ROLES = {
    **dict.fromkeys(("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"), "recurrent"),
    "Linear": "linear",
    "Embedding": "embedding",
    "ReLU": "relu",
    "Tanh": "tanh",
    "Sequential": "sequence",
    "Softmax": "probabilities",
    "LogSoftmax": "probabilities",
    "Sigmoid": "probabilities",
    "Identity": "nothing",
    "Flatten": "nothing",
    "Dropout": "nothing",
    "Dropout1d": "nothing",
    "Dropout2d": "nothing",
    "Dropout3d": "nothing",
    "AlphaDropout": "nothing",
    "FeatureAlphaDropout": "nothing",
}
_COUNTERS = {"n_averaged"}
"""Tensors that count what was done in training: that of torch.optim.swa_utils.AveragedModel."""

_WIDTHS = {"linear": "in_features", "embedding": "embedding_dim"}


def parts_of_module(torch: Any, module: Any) -> dict[str, Part]:
    """Return the modules within a module by their paths, itself included; none is run."""
    return {name: _of_module(torch.nn, name, child) for name, child in module.named_modules()}


def _of_module(nn: Any, name: str, module: Any) -> Part:
    tensors = {
        key: tensor
        for named in (module.named_parameters, module.named_buffers)
        for key, value in named(recurse=False, remove_duplicate=False)
        if (tensor := as_tensor(key, value)) is not None
    }
    kind = type(module).__name__
    base = next((base for base in _ROLES if isinstance(module, getattr(nn, base))), None)
    if base is not None:
        role, fault = _ROLES[base], None
        if type(module).forward is not getattr(nn, base).forward or "forward" in vars(module):
            fault = f"has a forward of its own, other than that of nn.{base}"
        elif role == "embedding" and module.max_norm is not None:
            fault = "has max_norm, so that it gives other numbers than it stores"
        width = getattr(module, _WIDTHS[role]) if role in _WIDTHS else None
        width = width or None  # a lazy layer does not know it yet
        text = kind if width is None else f"{kind}, width {width}"
        if role == "recurrent":
            activation = getattr(module, "nonlinearity", "tanh")
            sizes = _widths(tensors)
            return Part(
                name, text, frozenset({role}), tensors, sizes[0], fault, sizes[1], activation
            )
        return Part(name, text, frozenset({role}), tensors, width, fault)
    if kind in _ROLES:  # of another library, or quantized
        kind = f"{type(module).__module__}.{kind}"
    holds = any(module.children())
    # Weights of a loss are not read for scores, nor is the count of an AveragedModel.
    loss = isinstance(module, nn.modules.loss._Loss)
    if loss or (holds and tensors.keys() <= _COUNTERS):
        return Part(name, kind, frozenset({"frame"}), tensors)
    if holds:
        kind += f" with {_list_names(tensors)}"
    return Part(name, kind, frozenset(), tensors)


def _list_names(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(list(tensors)[:4]) + (", ..." if len(tensors) > 4 else "")


# State dicts ------------------------------------------------------------------------------------


def parts_of_state_dict(tensors: Mapping[str, Tensor]) -> dict[str, Part]:
    """Return what the names and shapes of tensors show, in the order of the names' first ones."""
    grouped: dict[str, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        name, _, last = full.rpartition(".")
        grouped.setdefault(name, {})[last] = tensor
    return {name: _of_tensors(name, own) for name, own in grouped.items()}


def _of_tensors(name: str, tensors: dict[str, Tensor]) -> Part:
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    if "weight_ih_l0" in shapes or {"weight_ih", "weight_hh"} <= shapes.keys():
        kind = _recurrent_kind(shapes)
        width, gives = _widths(tensors)
        return Part(name, kind, frozenset({"recurrent"}), tensors, width, None, gives)
    match shapes:
        case {"weight": (_, int(width)), "bias": (_,)} if len(shapes) == 2:
            return Part(name, f"linear, width {width}", frozenset({"linear"}), tensors, width)
        case {"weight": (_, int(width))} if len(shapes) == 1:
            roles = frozenset({"linear", "embedding"})
            return Part(name, f"linear or embedding, width {width}", roles, tensors, width)
        case {"bias": (_,)} if len(shapes) == 1:
            weight = f"{name}.weight" if name else "weight"
            fault = (
                f"lacks {shown(weight)}: of weights that are tied, some files have one; pass the "
                "module, or a state dict with both"
            )
            return Part(name, "bias", frozenset(), tensors, fault=fault)
    if shapes.keys() <= _COUNTERS or _is_loss(name, shapes):
        return Part(name, _list_names(tensors), frozenset({"frame"}), tensors)
    return Part(name, _list_names(tensors), frozenset(), tensors)


def _is_loss(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a name and weights, one for each class, are those of a loss."""
    last = name.rpartition(".")[2].lower()
    called = any(word in last for word in ("loss", "criterion"))
    return (
        called and shapes.keys() <= {"weight", "pos_weight"} and max(map(len, shapes.values())) <= 1
    )


def _widths(tensors: Mapping[str, Tensor]) -> tuple[int | None, int | None]:
    """Return how many numbers a recurrent layer reads, and how many it gives."""
    suffix = "" if "weight_ih" in tensors else "_l0"

    def columns(name: str) -> int | None:
        shape = tensors[name].shape if name in tensors else ()
        return shape[1] if len(shape) == 2 else None

    gives = columns(f"weight_hh{suffix}")  # with a projection too
    if gives is not None and "weight_ih_l0_reverse" in tensors:
        gives *= 2
    return columns(f"weight_ih{suffix}"), gives


def _recurrent_kind(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return what the weights of a recurrent layer are of; an LSTM if nothing says otherwise."""
    cell = "" if "weight_ih_l0" in shapes else "Cell"
    rows, *columns = shapes.get("weight_hh_l0", shapes.get("weight_hh", ())) or (0,)
    for kind, gates in {"GRU": 3, "RNN": 1}.items():
        if any(columns) and rows == gates * columns[0]:
            return kind + cell
    return "LSTM" + cell
