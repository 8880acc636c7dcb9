"""LSTMModel: the weights of a whole network and what belongs to them, frozen and checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lrplstm import _backend, network, storage
from lrplstm.architecture import check_head, check_layers
from lrplstm.batches import for_each_part
from lrplstm.checks import check_choice, to_array
from lrplstm.conversion import is_array_like
from lrplstm.inputs import InputEncoder, check_mask_id, check_mask_value
from lrplstm.outputs import TASKS, Outputs
from lrplstm.sequences import Part
from lrplstm.texts import shown, visible
from lrplstm.verification import verify
from lrplstm.vocabulary import resolve_vocabulary
from lrplstm.weights import (
    Array,
    DenseLayer,
    Layer,
    LSTMWeights,
    check_dtype,
    frozen,
    rebuild,
    same_dtype,
)

__all__ = ["DEFAULT_UNKNOWN_TOKEN", "LSTMModel"]

DEFAULT_UNKNOWN_TOKEN = "<unk>"


@dataclass(frozen=True, eq=False, repr=False)
class LSTMModel:
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
        What the first layer reads for each token id.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id, in order, or the id of each token. Ids that have none, as those after
        the last of a shorter sequence, are shown as "#" and the id.
    class_names : sequence of str of length num_classes, optional
        What the classes, or the outputs of a regression, are called. Two names for one score make
        it a classifier of two classes: class 1 is explained by the score s, class 0 by -s, and
        predicted is class 1 where s > 0.
    unknown_token : str, optional
        The token of `vocabulary` that stands for all that are not in it. Default: "<unk>" if the
        vocabulary has that, else none.
    tokenizer : str, optional
        Name of the tokenizer that makes this model's tokens from text: "treebank" or "whitespace".
    mask_id : int, optional
        Token id that only fills sequences up: its steps are passed over, and get no relevance. With
        the poolings "max" and "none", which take every step, it may stand at the ends alone, and is
        cut off there.
    mask_value : float, optional
        What all numbers of a step are that only fills a sequence up, for models without embedding:
        such steps are passed over as those of `mask_id` are.
    task : {"classification", "regression"}
        What the scores are for. Of a regression none is predicted: explained is by default the one
        output, or each of several.
    origin : mapping of str to str, optional
        What the parts were called where they come from, such as ``{"lstm": "encoder.rnn"}``.

    Attributes
    ----------
    input_size, hidden_size, num_layers, num_classes : int
        D of the first layer, H of the top one, number of layers, number of scores C.
    outputs : Outputs
        What the scores mean, see `lrplstm.outputs`.
    bidirectional : bool
        Whether the layers have two directions.
    dtype : numpy.dtype
        float32 or float64, the one of all its arrays; results have it too.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or an array neither float32 nor float64.
    ValueError
        If shapes, sizes or dtypes do not fit together, a number is NaN or infinite, a token or the
        name of a class occurs twice, or a class has an empty name.

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

    layers: tuple[Layer, ...]
    head: tuple[DenseLayer, ...] = ()
    _: KW_ONLY
    pooling: str = "last"
    embedding: Array | None = None
    vocabulary: tuple[str | None, ...] | None = None
    class_names: tuple[str, ...] | None = None
    unknown_token: str | None = None
    tokenizer: str | None = None
    mask_id: int | None = None
    mask_value: float | None = None
    task: str = "classification"
    origin: MappingProxyType[str, str] | None = None
    outputs: Outputs = field(init=False)
    encoder: InputEncoder = field(init=False)
    _prepared: dict[str, network.Prepared] = field(init=False)

    def __init__(
        self,
        layers: Sequence[Layer],
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
        task: str = "classification",
        origin: Mapping[str, str] | None = None,
    ) -> None:
        checked: dict[str, Any] = {"layers": check_layers(layers)}
        top = network.directions(checked["layers"][-1])
        width = sum(weights.hidden_size for weights in top)
        input_size = network.directions(checked["layers"][0])[0].input_size

        checked["head"] = check_head(head_weight, head_bias, head, width)
        num_classes = checked["head"][-1].output_size if checked["head"] else width
        check_choice("pooling", pooling, network.POOLINGS)
        check_choice("task", task, TASKS)
        if embedding is not None:
            embedding = frozen("embedding", embedding, ("vocabulary size", input_size))
        checked |= {"pooling": pooling, "embedding": embedding}
        arrays = {"layers": top[0].weight_ih}
        arrays |= {f"head[{n}]": layer.weight for n, layer in enumerate(checked["head"])}
        if head is None and checked["head"]:
            arrays["head_weight"] = arrays.pop("head[0]")
        if embedding is not None:
            arrays["embedding"] = embedding
        dtype = same_dtype(arrays)

        names: tuple[str | None, ...] | None = None
        if vocabulary is not None:
            if embedding is None:
                raise ValueError("vocabulary: expected None where there is no embedding")
            names = resolve_vocabulary(vocabulary, len(embedding))
        if class_names is not None:
            class_names = _check_strings("class_names", class_names)
            two = num_classes == 1 and task == "classification"
            if len(class_names) not in ((1, 2) if two else (num_classes,)):
                expected = "1 or 2" if two else num_classes
                raise ValueError(f"class_names: expected {expected} names, got {len(class_names)}")
            if not all(map(str.strip, class_names)):
                raise ValueError(
                    "class_names: expected names, got an empty one at position "
                    f"{[bool(name.strip()) for name in class_names].index(False)}"
                )
            _check_distinct("class_names", "names", class_names)
        if unknown_token is None:
            if names is not None and DEFAULT_UNKNOWN_TOKEN in names:
                unknown_token = DEFAULT_UNKNOWN_TOKEN
        elif names is None or unknown_token not in names:
            raise ValueError(
                f"unknown_token: expected a token of the vocabulary, got {shown(unknown_token)}"
            )
        if tokenizer is not None and not isinstance(tokenizer, str):
            raise TypeError(f"tokenizer: expected a name, got {shown(tokenizer)}")
        mask_id = check_mask_id(mask_id, embedding)
        mask_value = check_mask_value(mask_value, embedding)
        checked |= {
            "vocabulary": names,
            "class_names": class_names,
            "unknown_token": unknown_token,
            "tokenizer": tokenizer,
            "mask_id": mask_id,
            "mask_value": mask_value,
            "task": task,
            "origin": _check_origin(origin),
            "outputs": Outputs(num_classes, class_names, task),
            "encoder": InputEncoder(
                input_size,
                dtype,
                embedding,
                names,
                unknown_token,
                mask_id,
                every_step=pooling in ("max", "none"),
                tokenizer=tokenizer,
                mask_value=mask_value,
            ),
            "_prepared": {},
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    # Sizes --------------------------------------------------------------------------------------

    @property
    def input_size(self) -> int:
        """Width D of what the first layer reads."""
        return network.directions(self.layers[0])[0].input_size

    @property
    def hidden_size(self) -> int:
        """Width H of the top layer's states, of one direction."""
        return network.directions(self.layers[-1])[0].hidden_size

    @property
    def num_layers(self) -> int:
        """Number of layers, two directions counted as one."""
        return len(self.layers)

    @property
    def bidirectional(self) -> bool:
        """Whether the top layer has two directions."""
        return len(network.directions(self.layers[-1])) == 2

    @property
    def width(self) -> int:
        """Width of the top layer's hidden state: H, or 2H with two directions."""
        return sum(weights.hidden_size for weights in network.directions(self.layers[-1]))

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

    @property
    def num_classes(self) -> int:
        """Number C of scores: the head's, or without one the width of the hidden state."""
        return self.head[-1].output_size if self.head else self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Either float32 or float64."""
        return network.directions(self.layers[0])[0].dtype

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={value!r}" for name, value in self._sizes().items())
        text = f"LSTMModel({sizes}, pooling={self.pooling!r}, dtype={self.dtype}"
        if self.task != "classification":
            text += f", task={self.task!r}"
        if self.embedding is not None:
            text += f", vocabulary of {len(self.embedding)}"
        if self.origin:
            found = ", ".join(f"{visible(part)} {name!r}" for part, name in self.origin.items())
            text += f", made from {found}"
        return text + ")"

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, Any]]]:
        # Through the constructor, so that copies are read-only too.
        return rebuild, (type(self), self._arguments())

    def _sizes(self) -> dict[str, Any]:
        names = ("input_size", "hidden_size", "num_layers", "bidirectional", "num_classes")
        return {name: getattr(self, name) for name in names}

    def _arguments(self) -> dict[str, Any]:
        """Return what the constructor was given."""
        names = (
            "layers",
            "head",
            "pooling",
            "embedding",
            "vocabulary",
            "class_names",
            "unknown_token",
            "tokenizer",
            "mask_id",
            "mask_value",
            "task",
        )
        arguments = {name: getattr(self, name) for name in names}
        return arguments | {"origin": None if self.origin is None else dict(self.origin)}

    def prepared(self, backend: str) -> network.Prepared:
        """Return the model as a backend wants it, made when it is first asked for."""
        name = _backend.resolve(backend)
        if name not in self._prepared:
            self._prepared[name] = network.Prepared(self, _backend.scans(backend))
        return self._prepared[name]

    # What a model does --------------------------------------------------------------------------

    def replaced(self, **changes: Any) -> Self:
        """Return a model like this one but for some of its parts.

        Parameters
        ----------
        **changes
            Arguments of `LSTMModel`, and what they are in the new model.

        Returns
        -------
        LSTMModel

        Raises
        ------
        TypeError, ValueError
            As `LSTMModel`.

        Examples
        --------
        >>> import lrplstm
        >>> lrplstm.load_default().replaced(class_names=["--", "-", "o", "+", "++"]).class_names
        ('--', '-', 'o', '+', '++')
        """
        return type(self)(**self._arguments() | changes)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same model in float32 or float64.

        Parameters
        ----------
        dtype : dtype_like
            float32 or float64.

        Returns
        -------
        LSTMModel

        Raises
        ------
        TypeError
            If `dtype` is another.
        ValueError
            If a number is too large for float32.

        Examples
        --------
        >>> import lrplstm
        >>> lrplstm.load_default().astype("float64").dtype
        dtype('float64')
        """
        resolved = check_dtype(dtype)
        changes: dict[str, Any] = {}
        changes["layers"] = [
            layer.astype(resolved)
            if isinstance(layer, LSTMWeights)
            else tuple(weights.astype(resolved) for weights in layer)
            for layer in self.layers
        ]
        changes["head"] = [layer.astype(resolved) for layer in self.head]
        if self.embedding is not None:
            with np.errstate(over="ignore"):  # infinite numbers are refused by the constructor
                changes["embedding"] = self.embedding.astype(resolved)
        return self.replaced(**changes)

    def tokenize(self, text: str | Sequence[str]) -> list[str] | list[list[str]]:
        """Split text into tokens, by the tokenizer that the model names.

        Parameters
        ----------
        text : str or sequence of str
            One text, or several.

        Returns
        -------
        list of str, or list of list of str
            The tokens of the text, or of each of them.

        Raises
        ------
        TypeError
            If it is neither.
        ValueError
            If the model names no tokenizer, or one that there is not.

        Examples
        --------
        >>> import lrplstm
        >>> lrplstm.load_default().tokenize(["I loved it.", "Dull."])
        [['i', 'loved', 'it', '.'], ['dull', '.']]
        """
        if isinstance(text, str):
            return self.encoder.tokenize("text", text)
        if is_array_like(text):
            text = to_array("text", text).tolist()
        if not isinstance(text, Sequence | np.ndarray) or isinstance(text, bytes):
            raise TypeError(f"text: expected a str or several, got {type(text).__name__}")
        for position, one in enumerate(text):
            if not isinstance(one, str):
                raise TypeError(f"text: expected str, got {shown(one)} at position {position}")
        return [self.encoder.tokenize("text", str(one)) for one in text]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a folder, from which `lrplstm.load` reads it.

        Parameters
        ----------
        path : str or path
            Folder; made where it does not exist. See `lrplstm.storage` for its files.

        Raises
        ------
        ValueError
            If a token contains a line break.
        OSError
            If it cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import lrplstm
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lrplstm.load_default().save(folder)
        ...     lrplstm.load(folder).num_classes
        5
        """
        storage.write_folder(path, **self._arguments(), sizes=self._sizes())

    def predict(
        self,
        inputs: Any,
        *,
        unknown: str | None = None,
        backend: str = "auto",
        num_threads: int | None = None,
    ) -> Any:
        """Return the scores (logits, before any softmax) of one or more sequences.

        Parameters
        ----------
        inputs, unknown, backend, num_threads
            As for `lrplstm.lrp`.

        Returns
        -------
        ndarray of shape (C,) or (B, C), or list of ndarray
            One row of scores for one sequence; a row each for a batch. With pooling "none" there
            is a row for each step, (T, C), NaN where it is padding, and for a batch a list of such
            arrays.

        Raises
        ------
        TypeError, ValueError
            As `lrplstm.lrp`.

        Examples
        --------
        >>> import lrplstm
        >>> model = lrplstm.load_default()
        >>> scores = model.predict("a fine film .".split())
        >>> model.class_names[scores.argmax()]
        'very positive'
        """
        batch = self.encoder.encode(inputs, unknown)
        prepared = self.prepared(backend)
        every_step = prepared.every_step
        rows = int(batch.offsets[-1]) if every_step else len(batch)
        scores = np.empty((rows, self.num_classes), self.dtype)

        def run(part: Part, past: network.ForwardPass) -> None:
            scores[part.steps if every_step else part.sequences] = past.scores

        for_each_part(prepared, batch, run, "nothing", num_threads)
        if every_step:
            scores = batch.as_given(scores, axis=0, fill=np.nan)
            return scores if batch.single else np.split(scores, batch.given_offsets[1:-1])
        return scores[0] if batch.single else scores

    def verify(self, scores_of: Callable[[Any], Any], inputs: Any, *, rtol: float = 1e-4) -> float:
        """Compare the model's scores with those of what it was made from.

        Parameters
        ----------
        scores_of : callable
            Takes `inputs` and returns the scores of each sequence, or what softmax, log_softmax or
            sigmoid makes of them: arrays, tensors of any framework, lists, or a tuple or dict of
            several of which one has the shape of the scores.
        inputs
            As for `predict`.
        rtol : float
            How far they may be apart, as a part of the largest absolute score.

        Returns
        -------
        float
            How far they are.

        Raises
        ------
        ValueError
            If they are farther apart, with the largest difference and where it is; or if nothing
            that `scores_of` returns has the shape of scores. Its own errors are raised as they are.

        Examples
        --------
        >>> import lrplstm
        >>> model = lrplstm.load_default()
        >>> double = model.astype("float64")
        >>> model.verify(double.predict, ["a fine film .".split(), ["dull"]]) < 1e-5
        True
        """
        if not callable(scores_of):
            raise TypeError(f"scores_of: expected a function, got {type(scores_of).__name__}")
        single = self.encoder.encode(inputs).single
        predicted = self.predict(inputs)
        return verify([predicted] if single else predicted, scores_of(inputs), rtol)


def _check_origin(origin: Mapping[str, str] | None) -> MappingProxyType[str, str] | None:
    if origin is None:
        return None
    if not isinstance(origin, Mapping) or not all(
        isinstance(text, str) for pair in origin.items() for text in pair
    ):
        raise TypeError(f"origin: expected a mapping of str to str, got {shown(origin)}")
    return MappingProxyType(dict(origin))


def _check_strings(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"{name}: expected a sequence of str, got {type(values).__name__}")
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected str, got {shown(value)} at position {position}")
    return tuple(map(str, values))


def _check_distinct(argument: str, what: str, texts: tuple[str, ...]) -> None:
    seen: dict[str, int] = {}
    for position, text in enumerate(texts):
        first = seen.setdefault(text, position)
        if first != position:
            raise ValueError(
                f"{argument}: expected distinct {what}, got {shown(text)} at {first} and at "
                f"{position}"
            )
