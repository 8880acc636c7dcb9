"""Model: a network of any layers and what belongs to it, frozen and checked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lrplstm import network, storage
from lrplstm.architecture import Graph, connect
from lrplstm.backends import choose
from lrplstm.checks import check_choice, to_array
from lrplstm.class_names import check_class_names, check_origin
from lrplstm.conversion import is_array_like
from lrplstm.inputs import InputEncoder
from lrplstm.layers import INPUTS, Layer
from lrplstm.layers.folding import rescaled
from lrplstm.named_inputs import DEFAULT_UNKNOWN_TOKEN, Input, NamedEncoder, check_inputs
from lrplstm.outputs import TASKS, Outputs
from lrplstm.parallel import for_each
from lrplstm.prepared import Prepared
from lrplstm.scaling import Scaler, to_scaler
from lrplstm.sequences import Batch, Part, to_offsets
from lrplstm.texts import shown, visible
from lrplstm.verification import verify
from lrplstm.weights import Array, Cells, check_dtype, rebuild

__all__ = ["DEFAULT_UNKNOWN_TOKEN", "Model"]

_OF_INPUT = (
    "embedding",
    "vocabulary",
    "unknown_token",
    "tokenizer",
    "mask_id",
    "mask_value",
    "feature_names",
    "scaler",
    "missing",
)
"""What every model is given of its one input."""

_ARGUMENTS = (*_OF_INPUT, "class_names", "task", "output_scale")
"""What every model is given beside its layers, and the origin."""


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained network of any layers, and what turns words into its inputs.

    Parameters
    ----------
    layers : sequence of Layer
        Each reads the one before it, or those before it that it names; the last gives the scores.
        See `lrplstm.layers` for those there are, and for how to make one of your own.
        `LSTMWeights`, `GRUWeights` and `RNNWeights` stand for a layer of one direction, a
        (forward, backward) pair of them for one of two.
    inputs : mapping of Input or int, optional
        Where there are several, or one that is more than a sequence of steps: each by its name, by
        which layers read it; a number is that of its width. What follows, from `embedding` to
        `mask_value`, is then said of each of them. Explained sequences are dicts by these names.
        Default: one, "inputs", of sequences of steps.
    embedding : array_like of shape (V, input_size), optional
        What is read for each token id.
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
        Token id that only fills sequences up: its steps are passed over, and get no relevance.
        Where something is asked of each step, as by the maximum over all, it may stand at the ends
        alone, and is cut off there.
    mask_value : float, optional
        What all numbers of a step are that only fills a sequence up, for models without embedding:
        such steps are passed over as those of `mask_id` are. Raw numbers, where there is a scaler.
    feature_names : sequence of str of length input_size, optional
        What the variables are called, for models without embedding. Tables are read by these names,
        in whatever order their columns are. Default: those of the scaler, if it knows any.
    scaler : (mean, scale), Scaler, or a fitted scaler of scikit-learn, optional
        What was done to raw values before the network was trained on them: the inputs are then raw
        values, ``(inputs - mean) / scale`` is computed in float64, and a raw value has the
        relevance, gradient and so on of the scaled one. Baselines are raw values, too, but for the
        default one, which is zeros of what the network reads.
    missing : {"error", "zero", "mask"}
        What to do with NaN: refuse it, naming variable and date; read zero, after scaling; or pass
        over a step that has some, as over padding. Only as it was done in training.
    output_scale : (mean, scale), or a fitted scaler of scikit-learn, optional
        What was done to the targets of a regression before it was trained on them: scores, and all
        relevance, are then in units of the target, ``scores * scale + mean``.
    task : {"classification", "regression"}
        What the scores are for. Of a regression none is predicted: explained is by default the one
        output, or each of several.
    origin : mapping of str to str, optional
        What the layers were called where they come from, such as ``{"lstm": "encoder.rnn"}``.

    Attributes
    ----------
    graph : Graph
        The layers with their names and with what they read, see `lrplstm.architecture`.
    input_size, num_classes : int
        Width D of what is read, of several inputs the first that has steps, and number C of scores.
    every_step : bool
        Whether every step has scores, rather than every sequence.
    outputs : Outputs
        What the scores mean, see `lrplstm.outputs`.
    dtype : numpy.dtype
        float32 or float64, the one of all its arrays; results have it too.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or an array neither float32 nor float64.
    ValueError
        If layers, sizes or dtypes do not fit together, a number is NaN or infinite, a token or the
        name of a class occurs twice, or a class has an empty name.

    Examples
    --------
    The head reads the mean of all states beside the final ones.

    >>> import numpy as np
    >>> import lrplstm
    >>> from lrplstm.layers import LSTM, Concatenate, Pool
    >>> rng = np.random.default_rng(0)
    >>> lstm = lrplstm.LSTMWeights(*(rng.normal(0, 0.3, s) for s in [(8, 3), (8, 2), (8,)]))
    >>> model = lrplstm.Model(
    ...     [
    ...         LSTM(lstm, name="lstm"),
    ...         Pool("mean", name="mean"),
    ...         Pool("last", name="last", reads=["lstm"]),
    ...         Concatenate(reads=["mean", "last"]),
    ...         lrplstm.DenseLayer(rng.normal(size=(5, 4))),
    ...     ]
    ... )
    >>> lrplstm.lrp(model, rng.normal(size=(6, 3)), target=4).token_relevance.shape
    (6,)

    Two static features beside a series.

    >>> from lrplstm.layers import Repeat
    >>> model = lrplstm.Model(
    ...     [
    ...         Repeat(name="at each step", reads=["static", "series"]),
    ...         Concatenate(reads=["series", "at each step"]),
    ...         LSTM(lstm),
    ...         Pool("last"),
    ...     ],
    ...     inputs={"series": 1, "static": lrplstm.Input(2, steps=False)},
    ... )
    >>> inputs = {"series": rng.normal(size=(6, 1)), "static": [0.5, -1.0]}
    >>> lrplstm.lrp(model, inputs, target=1).relevance_of["static"].shape
    (2,)
    """

    _PARTS: ClassVar[tuple[str, ...]] = ("layers",)
    _SIZES: ClassVar[tuple[str, ...]] = ("input_size", "num_classes")

    layers: tuple[Any, ...]
    _: KW_ONLY
    inputs: MappingProxyType[str, Input] | None = None
    embedding: Array | None = None
    vocabulary: tuple[str | None, ...] | None = None
    class_names: tuple[str, ...] | None = None
    unknown_token: str | None = None
    tokenizer: str | None = None
    mask_id: int | None = None
    mask_value: float | None = None
    feature_names: tuple[str, ...] | None = None
    scaler: Scaler | None = None
    missing: str = "error"
    output_scale: Scaler | None = None
    task: str = "classification"
    origin: MappingProxyType[str, str] | None = None
    graph: Graph = field(init=False)
    input_size: int = field(init=False)
    num_classes: int = field(init=False)
    every_step: bool = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    outputs: Outputs = field(init=False)
    encoder: InputEncoder | NamedEncoder = field(init=False)
    _prepared: dict[str, Prepared] = field(init=False)

    def __init__(
        self,
        layers: Sequence[Layer | Cells],
        *,
        inputs: Mapping[str, Input | int] | None = None,
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
        of_input: dict[str, Any] = {
            "embedding": embedding,
            "vocabulary": vocabulary,
            "unknown_token": unknown_token,
            "tokenizer": tokenizer,
            "mask_id": mask_id,
            "mask_value": mask_value,
            "feature_names": feature_names,
            "scaler": scaler,
            "missing": missing,
        }
        if inputs is None:
            read = {INPUTS: Input(**of_input)}
        else:
            for name, value in of_input.items():
                if value is not None and value != "error":
                    raise ValueError(
                        f"{name}: expected None where inputs are declared, of which "
                        "each has its own"
                    )
            read = check_inputs(inputs)
        graph = connect(layers, read)
        self._set(layers=graph.layers, inputs=None if inputs is None else MappingProxyType(read))
        self._set_graph(self._in_units(graph, output_scale, task, read), read)
        self._name(class_names, task, origin)

    def _set(self, **values: Any) -> None:
        """Set fields of a frozen model, which only its constructor does."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _in_units(
        self, graph: Graph, output_scale: Any, task: str, inputs: Mapping[str, Input]
    ) -> Graph:
        """Return the network with scores in units of the target."""
        if output_scale is None:
            self._set(output_scale=None)
            return graph
        if task != "regression":
            raise ValueError("output_scale: expected None, or task='regression'")
        scaler = to_scaler("output_scale", output_scale, graph.scores.size, "outputs")
        self._set(output_scale=scaler)
        return connect(rescaled(graph.layers, scaler, graph.dtype), inputs)

    def _set_graph(self, graph: Graph, inputs: Mapping[str, Input]) -> None:
        """Set what is known of the network, and make what reads its inputs."""
        for name, one in inputs.items():
            if one.embedding is not None and one.embedding.dtype != graph.dtype:
                place = "embedding" if self.inputs is None else f"inputs[{shown(name)}]: embedding"
                raise ValueError(
                    f"{place}: expected the dtype of the layers, {graph.dtype}, got "
                    f"{one.embedding.dtype}"
                )
        first = graph.inputs[0]
        self._set(graph=graph, input_size=graph.forms[first].size, dtype=graph.dtype, _prepared={})
        self._set(num_classes=graph.scores.size, every_step=graph.scores.steps)
        self._set(**{name: getattr(inputs[first], name) for name in _OF_INPUT})
        self._set(encoder=self._encoder(inputs))

    def _encoder(self, inputs: Mapping[str, Input]) -> InputEncoder | NamedEncoder:
        graph, gaps = self.graph, not self.graph.asks_of_each_step
        check = graph.lengths if graph.asks_of_lengths else None
        if self.inputs is None:
            encoder = inputs[INPUTS].encoder(INPUTS, self.input_size, self.dtype, gaps)
            if check is None:
                return encoder
            return dataclasses.replace(encoder, check=lambda n: graph.lengths({INPUTS: n}))
        encoders = {
            name: one.encoder(f"inputs[{shown(name)}]", graph.forms[name].size, self.dtype, gaps)
            for name, one in inputs.items()
        }
        return NamedEncoder(inputs, encoders, graph.inputs[0], check)

    def _name(
        self, class_names: Sequence[str] | None, task: str, origin: Mapping[str, str] | None
    ) -> None:
        """Check what classes are called, and what parts of the network were."""
        self._set(task=task, origin=check_origin(origin))
        check_choice("task", self.task, TASKS)
        if class_names is not None:
            class_names = check_class_names(class_names, self.num_classes, self.task)
        outputs = Outputs(self.num_classes, class_names, self.task)
        self._set(class_names=class_names, outputs=outputs)

    # Sizes --------------------------------------------------------------------------------------

    @property
    def width(self) -> int:
        """Width of the top recurrent layer's hidden state, all directions together."""
        if self.graph.top is None:
            raise ValueError("model: expected one with a recurrent layer")
        return self.graph.top.width

    def __repr__(self) -> str:
        return self._shown(", ".join(visible(str(layer.name)) for layer in self.graph.layers))

    def _shown(self, network: str) -> str:
        """Return a model as Python shows it, given what it is made of."""
        text = f"{type(self).__name__}({network}, dtype={self.dtype}"
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
        """Return what a saved model says of its sizes."""
        return {name: getattr(self, name) for name in self._SIZES}

    def _arguments(self) -> dict[str, Any]:
        """Return what the constructor was given."""
        arguments = {name: getattr(self, name) for name in (*self._PARTS, *_ARGUMENTS)}
        if self.inputs is not None:
            arguments |= dict.fromkeys(_OF_INPUT) | {
                "missing": "error",
                "inputs": dict(self.inputs),
            }
        return arguments | {"origin": None if self.origin is None else dict(self.origin)}

    def _layers_as(self, dtype: np.dtype[Any]) -> dict[str, Any]:
        """Return the parts of `astype`."""
        return {"layers": [layer.astype(dtype) for layer in self.layers]}

    def prepared(self, backend: str) -> Prepared:
        """Return the model as a backend wants it, made when it is first asked for."""
        if isinstance(backend, str) and backend in self._prepared:
            return self._prepared[backend]
        name = choose.resolve(backend)
        if name not in self._prepared:
            self._prepared[name] = Prepared(self.graph, choose.scans(name), name)
        return self._prepared.setdefault(backend, self._prepared[name])

    def encode(self, inputs: Any, unknown: str | None = None) -> Batch:
        """Check `inputs` and return them as a batch; errors as `lrplstm.lrp` documents them."""
        batch = self.encoder.encode(inputs, unknown)
        if not self.graph.scores_other_steps:
            return batch
        batches = zip(self.graph.inputs, (batch, *batch.others.values()), strict=True)
        lengths = self.graph.lengths({name: np.diff(one.offsets) for name, one in batches})
        offsets = to_offsets(lengths[str(self.graph.layers[-1].name)])
        return dataclasses.replace(batch, score_offsets=offsets)

    # What a model does --------------------------------------------------------------------------

    def replaced(self, **changes: Any) -> Self:
        """Return a model like this one but for some of its parts.

        Parameters
        ----------
        **changes
            Arguments of the model's class, and what they are in the new model.

        Returns
        -------
        Model
            Of the same class.

        Raises
        ------
        TypeError, ValueError
            As the class.

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
            One of float32 and float64.

        Returns
        -------
        Model
            Of the same class.

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
        changes = self._layers_as(resolved)
        if self.inputs is not None:
            changes["inputs"] = {name: one.astype(resolved) for name, one in self.inputs.items()}
        elif self.embedding is not None:
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
        if is_array_like(text) or isinstance(text, np.ndarray):
            text = to_array("text", text).tolist()
        if not isinstance(text, Sequence) or isinstance(text, bytes):
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
        inputs : one sequence, or a batch of them
            In any of the forms of `lrplstm.lrp`.
        unknown : {"error", "unk", "zero"}, optional
            What to do with a token that the vocabulary lacks.
        backend : {"auto", "kernel", "reference"}
            Compiled kernels, or plain NumPy.
        num_threads : int, optional
            Threads that share the work. Default: as many as there are processors.

        Returns
        -------
        ndarray of shape (C,) or (B, C), or list of ndarray
            One row of scores for one sequence; a row each for a batch. Where every step has scores,
            as with pooling "none", there is a row for each step, (T, C), NaN where it is padding,
            and for a batch a list of such arrays. Steps of scores may be others than those of the
            inputs, as those of a decoder are.

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
        batch = self.encode(inputs, unknown)
        prepared = self.prepared(backend)
        every_step, offsets = prepared.every_step, batch.score_offsets
        steps = int((batch.offsets if offsets is None else offsets)[-1])
        scores = np.empty((steps if every_step else len(batch), self.num_classes), self.dtype)

        source, threads = prepared.source(batch), choose.count_threads(num_threads, len(batch))

        def predict_part(part: Part) -> None:
            reading = network.read(prepared, batch, source, part, inputs=False)
            past = network.forward(prepared, reading, "nothing")
            scores[part.rows(every_step, offsets)] = past.scores

        with network.quiet():
            for_each(predict_part, batch.parts(prepared.bytes_per_step(0), threads), threads)
        if every_step:
            if offsets is None:
                scores = batch.as_given(scores, axis=0, fill=np.nan)
                offsets = batch.given_offsets
            return scores if batch.single else np.split(scores, offsets[1:-1])
        return scores[0] if batch.single else scores

    def verify(self, scores_of: Callable[[Any], Any], inputs: Any, *, rtol: float = 1e-4) -> float:
        """Compare the model's scores with those of what it was made from.

        Parameters
        ----------
        scores_of : callable
            Takes `inputs` and returns the scores of each sequence, or what softmax, log_softmax or
            sigmoid makes of them: arrays, tensors of any framework, lists, or a tuple or dict of
            several of which one has the shape of the scores.
        inputs : one sequence, or a batch of them
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
