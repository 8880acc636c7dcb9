"""`Corpus`: sequences encoded once, whose steps can be deleted, and the model that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.baselines import features_of_word
from lrplstm.errors import ArgumentError, Element
from lrplstm.evaluation.arguments import Method
from lrplstm.methods import explain
from lrplstm.named_inputs import Input, NamedEncoder
from lrplstm.sequences import Batch, apart, to_offsets
from lrplstm.weights import Array

__all__ = ["Corpus", "owners"]


def owners(offsets: Array) -> Array:
    """Return the sequence that each step belongs to, (steps,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


class _Other(NamedTuple):
    """What is read beside the steps that are followed.

    Attributes
    ----------
    data : ndarray
        Ids or features, of all sequences.
    offsets : ndarray of shape (B + 1,)
    is_row : bool
        Whether there is one row a sequence.
    follows : bool
        Whether it has the same steps, and loses those that are taken out.
    """

    data: Array
    offsets: Array
    is_row: bool
    follows: bool

    def taken(self, taken: Array) -> _Other:
        """Return that of some sequences."""
        lengths = np.diff(self.offsets)[taken]
        data = self.data[taken[owners(self.offsets)]]
        return self._replace(data=data, offsets=to_offsets(lengths))

    def without(self, kept: Array, offsets: Array) -> _Other:
        """Return it where steps are taken out."""
        return self._replace(data=self.data[kept], offsets=offsets) if self.follows else self

    def given(self, single: bool) -> Any:
        """Return it as a model takes it."""
        if self.is_row:
            return self.data[0] if single else self.data
        return self.data if single else apart(self.data, self.offsets)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Sequences, one after the other, without the steps that only fill them up.

    Attributes
    ----------
    given : Model
        The model that was given.
    model : Model
        What reads them, with the results of the one that was given. Where they are ids it has one
        more, the last one, that of the zero vector; where they are features it has no embedding.
    data : ndarray of shape (steps,) or (steps, D)
        Ids or features; of several inputs those of the first that has steps.
    offsets : ndarray of shape (B + 1,)
    single : bool
        Whether one sequence was given rather than a batch.
    backend, num_threads
        As for `lrplstm.lrp`.
    first : str, optional
        Which of several inputs `data` are of.
    others : mapping of _Other by str
        The others.
    """

    given: Model
    model: Model
    data: Array
    offsets: Array
    single: bool
    backend: str
    num_threads: int | None
    first: str | None = None
    others: Mapping[str, _Other] = field(default_factory=dict)

    @classmethod
    def encode(
        cls,
        model: Model,
        inputs: Any,
        unknown: str | None = None,
        backend: str = "auto",
        num_threads: int | None = None,
    ) -> Self:
        """Check `inputs` as `lrplstm.lrp` does, and take them in."""
        if not isinstance(model, Model):
            raise TypeError(f"model: expected a Model, got {type(model).__name__}")
        batch = model.encoder.encode(inputs, unknown)
        encoder, others = model.encoder, dict[str, _Other]()
        if isinstance(encoder, NamedEncoder):
            others = {
                name: _Other(
                    other.data,
                    other.offsets,
                    encoder.inputs[name].steps is False,
                    _follows(encoder, name),
                )
                for name, other in batch.others.items()
            }
        return cls(
            given=model,
            model=_reader(model, batch),
            data=batch.data,
            offsets=batch.offsets,
            single=batch.single,
            backend=backend,
            num_threads=num_threads,
            first=encoder.first if isinstance(encoder, NamedEncoder) else None,
            others=others,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Array:
        """Steps of each sequence, (B,)."""
        return np.diff(self.offsets)

    @property
    def zero(self) -> int:
        """What a step is set to that is the zero vector: an id, or 0."""
        table = self.model.embedding
        if self.first is not None and self.model.inputs is not None:
            table = self.model.inputs[self.first].embedding
        return 0 if table is None else len(table) - 1

    def sequences(self, *, single: bool = False) -> Any:
        """Return them one by one, or the single one as it is; of several inputs by name."""
        data: Any = self.data if single else apart(self.data, self.offsets)
        if self.first is None:
            return data
        others = {name: other.given(single) for name, other in self.others.items()}
        return {self.first: data, **others}

    def predict(self) -> Array:
        """Return the scores, (B, C)."""
        scores: Array = self.model.predict(
            self.sequences(), backend=self.backend, num_threads=self.num_threads
        )
        return scores

    def explain(self, method: Method, target: Any) -> Attribution | Attributions:
        """Return the relevance of steps, all finite; an `Attribution` of a single sequence.

        There is a row of it for each of several outputs, where all of a regression are explained.
        """
        options = dict(method.options)
        word = options.get("baseline")
        if isinstance(word, Integral) and not isinstance(word, bool):
            word = int(word)
        if isinstance(word, str | int) and not isinstance(word, bool) and self.first is None:
            options["baseline"] = features_of_word(word, self.given)[0]
        result = explain(
            self.model,
            self.sequences(single=self.single),
            method.name,
            target,
            level="token",
            backend=self.backend,
            num_threads=self.num_threads,
            **options,
        )
        finite = np.isfinite(np.atleast_2d(result.token_relevance)).all(axis=0)
        if not finite.all():
            b = int(owners(self.offsets)[finite.argmin()])
            name = "inputs" if self.single else Element("inputs", b)
            hint = "; a model of dtype float64 has a larger range"
            raise ArgumentError(
                name,
                f"expected finite relevance by {method.label}, got NaN or infinity"
                f"{hint if self.model.dtype == np.float32 else ''}",
            )
        return result

    def relevance(self, method: Method, target: Any) -> Array:
        """Return the relevance of all steps, (R steps,), where R outputs are explained."""
        return self.explain(method, target).token_relevance.ravel()

    def repeated_offsets(self, relevance: Array) -> Array:
        """Return the offsets of the sequences of `relevance`, (R B + 1,): each once an output."""
        return to_offsets(np.tile(self.lengths, len(relevance) // len(self.data)))

    def read_by(self, model: Model) -> Self:
        """Return the same sequences for another model of the same ids or features."""
        return replace(self, model=model)

    def take(self, taken: Array) -> Self:
        """Return the sequences of which `taken`, bool of shape (B,), is true."""
        return replace(
            self,
            data=self.data[taken[owners(self.offsets)]],
            offsets=to_offsets(self.lengths[taken]),
            others={name: other.taken(taken) for name, other in self.others.items()},
        )

    def without(self, steps: Array, how: str) -> Self:
        """Return them with some steps, of all in a row, set to "zero" or with how="remove" gone."""
        if how == "zero":
            data = self.data.copy()
            data[steps] = self.zero
            return replace(self, data=data)
        kept = np.ones(len(self.data), bool)
        kept[steps] = False
        lengths = np.add.reduceat(kept, self.offsets[:-1], dtype=np.intp)
        offsets = to_offsets(lengths)
        others = {name: other.without(kept, offsets) for name, other in self.others.items()}
        return replace(self, data=self.data[kept], offsets=offsets, others=others)


def _follows(encoder: NamedEncoder, name: str) -> bool:
    """Whether an input has the steps of the first."""
    steps: Any = name
    while isinstance(steps, str) and steps != encoder.first:
        steps = encoder.inputs[steps].steps
    return bool(steps == encoder.first)


def _reader(model: Model, batch: Batch) -> Model:
    """Return what reads a batch: ids or features, from which all padding is left out.

    What is set to zero later is a step like others, even where padding is zeros.
    """
    encoder = model.encoder
    if not isinstance(encoder, NamedEncoder):
        table = _with_zero(batch.embedding)
        return model.replaced(embedding=table, **_OF_GIVEN)
    inputs = {}
    for name, given in encoder.inputs.items():
        table = _with_zero(batch.embedding) if name == encoder.first else None
        if name != encoder.first:
            table = batch.others[name].embedding
        inputs[name] = Input(**given.arguments() | _OF_GIVEN | {"embedding": table})
    return model.replaced(inputs=inputs)


_OF_GIVEN = {
    "vocabulary": None,
    "unknown_token": None,
    "mask_id": None,
    "mask_value": None,
    "feature_names": None,
    "scaler": None,
    "missing": "error",
}
"""Settings of inputs as they are given, before they are encoded."""


def _with_zero(table: Array | None) -> Array | None:
    return None if table is None else np.concatenate([table, np.zeros_like(table[:1])])
