"""LSTMModel: the short form of the commonest network, frozen and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lrplstm.architecture import check_head, check_layers, short_form
from lrplstm.base_model import DEFAULT_UNKNOWN_TOKEN, Model
from lrplstm.checks import check_choice
from lrplstm.layers import INPUTS, POOLINGS, DenseLayer, directions
from lrplstm.named_inputs import Input
from lrplstm.weights import Array, Directions, LSTMWeights, frozen, same_dtype

__all__ = ["DEFAULT_UNKNOWN_TOKEN", "LSTMModel"]


@dataclass(frozen=True, eq=False, repr=False)
class LSTMModel(Model):
    """A trained LSTM network: layers, head, and what turns words into its inputs.

    Parameters
    ----------
    layers : sequence of LSTMWeights or of (LSTMWeights, LSTMWeights)
        First layer first. One `LSTMWeights` a layer for one direction; a (forward, backward) pair
        for two. A layer reads the hidden states of the one below it, forward half first.
    head_weight : array_like of shape (num_classes, width), optional
        Linear layer that makes scores of the pooled hidden state of the top layer; width is H, or
        2H with two directions (forward half first). Without it the pooled hidden state itself is
        the score.
    head_bias : array_like of shape (num_classes,), optional
        Bias of the head.
    head : sequence of DenseLayer, optional
        Instead of `head_weight` and `head_bias`: several layers, the first of which reads the
        pooled hidden state, and the last of which gives the scores.
    pooling : {"last", "mean", "max", "none"}
        What the head reads of the top layer: the "last" hidden state that each direction reaches;
        the "mean", or for each unit the "max", over all steps; or, with "none", the hidden state of
        each step, so that there is a row of scores for each step.
    embedding : array_like of shape (V, input_size), optional
        What is read for each token id.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id.
    class_names : sequence of str, optional
        What the classes, or outputs, are called.
    unknown_token : str, optional
        The token for all that the vocabulary lacks.
    tokenizer : str, optional
        What makes tokens of text, "treebank" or "whitespace".
    mask_id : int, optional
        Id that only fills sequences up.
    mask_value : float, optional
        What all numbers of a step are that only fills a sequence up.
    feature_names : sequence of str of length input_size, optional
        What the variables are called.
    scaler : (mean, scale), Scaler, or a fitted scaler of scikit-learn, optional
        What was done to raw values before the network was trained on them.
    missing : {"error", "zero", "mask"}
        What to do with NaN.
    output_scale : (mean, scale), or a fitted scaler of scikit-learn, optional
        What was done to the targets of a regression before it was trained on them.
    task : {"classification", "regression"}
        What the scores are for.
    origin : mapping of str to str, optional
        Where each part came from.

    Attributes
    ----------
    hidden_size, num_layers : int
        Width H of the top layer's states, of one direction; number of layers.
    bidirectional : bool
        Whether the top layer has two directions.

    Those of `Model`, too.

    Raises
    ------
    TypeError, ValueError
        As `Model`, which says more of all that is not of layers.

    Examples
    --------
    >>> import numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 3), (8, 2), (8,)]))
    >>> model = lrplstm.LSTMModel([lstm], head_weight=rng.normal(size=(4, 2)))
    >>> model
    LSTMModel(input_size=3, hidden_size=2, num_layers=1, bidirectional=False, num_classes=4, \
pooling='last', dtype=float64)
    >>> model.predict(rng.normal(size=(5, 3))).shape
    (4,)
    """

    _PARTS: ClassVar[tuple[str, ...]] = ("layers", "head", "pooling")
    _SIZES: ClassVar[tuple[str, ...]] = (
        "input_size",
        "hidden_size",
        "num_layers",
        "bidirectional",
        "num_classes",
    )

    layers: tuple[Directions, ...]
    head: tuple[DenseLayer, ...] = ()
    pooling: str = "last"

    def __init__(
        self,
        layers: Sequence[Directions],
        head_weight: npt.ArrayLike | None = None,
        head_bias: npt.ArrayLike | None = None,
        *,
        head: Sequence[DenseLayer] | None = None,
        pooling: str = "last",
        embedding: npt.ArrayLike | None = None,
        vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
        class_names: Sequence[str] | None = None,
        unknown_token: str | None = None,
        tokenizer: str | None = None,
        mask_id: int | None = None,
        mask_value: float | None = None,
        feature_names: Sequence[str] | None = None,
        scaler: Any = None,
        missing: str = "error",
        output_scale: Any = None,
        task: str = "classification",
        origin: Mapping[str, str] | None = None,
    ) -> None:
        pairs = check_layers(layers)
        width = sum(weights.hidden_size for weights in directions(pairs[-1]))
        input_size = directions(pairs[0])[0].input_size
        dense = check_head(head_weight, head_bias, head, width)
        check_choice("pooling", pooling, POOLINGS)
        if embedding is not None:
            embedding = frozen("embedding", embedding, ("vocabulary size", input_size))
        arrays = {"layers": directions(pairs[-1])[0].weight_ih}
        arrays |= {f"head[{n}]": layer.weight for n, layer in enumerate(dense)}
        if head is None and dense:
            arrays["head_weight"] = arrays.pop("head[0]")
        if embedding is not None:
            arrays["embedding"] = embedding
        same_dtype(arrays)
        graph = short_form(pairs, pooling, dense)
        self._set(layers=pairs, head=dense, pooling=pooling, inputs=None)
        read = Input(
            input_size,
            embedding=embedding,
            vocabulary=vocabulary,
            unknown_token=unknown_token,
            tokenizer=tokenizer,
            mask_id=mask_id,
            mask_value=mask_value,
            feature_names=feature_names,
            scaler=scaler,
            missing=missing,
        )
        inputs = {INPUTS: read}
        self._set_graph(self._in_units(graph, output_scale, task, inputs), inputs)
        self._name(class_names, task, origin)

    # Sizes --------------------------------------------------------------------------------------

    @property
    def hidden_size(self) -> int:
        """Width H of the top layer's states, of one direction."""
        return directions(self.layers[-1])[0].hidden_size

    @property
    def num_layers(self) -> int:
        """Number of layers, two directions counted as one."""
        return len(self.layers)

    @property
    def bidirectional(self) -> bool:
        """Whether the top layer has two directions."""
        return len(directions(self.layers[-1])) == 2

    @property
    def head_weight(self) -> Array | None:
        """Weights of the head, where that is one linear layer, else None."""
        return self.head[0].weight if self._head_is_linear else None

    @property
    def head_bias(self) -> Array | None:
        """Bias of the head, where that is one linear layer that has one, else None."""
        return self.head[0].bias if self._head_is_linear else None

    @property
    def _head_is_linear(self) -> bool:
        return len(self.head) == 1 and self.head[0].activation == "linear"

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={value!r}" for name, value in self._sizes().items())
        return self._shown(f"{sizes}, pooling={self.pooling!r}")

    def _layers_as(self, dtype: np.dtype[Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        changes["layers"] = [
            layer.astype(dtype)
            if isinstance(layer, LSTMWeights)
            else tuple(weights.astype(dtype) for weights in layer)
            for layer in self.layers
        ]
        changes["head"] = [layer.astype(dtype) for layer in self.head]
        return changes
