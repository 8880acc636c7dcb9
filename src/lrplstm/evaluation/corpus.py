"""`Corpus`: sequences encoded once, whose steps can be deleted, and the model that reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Integral
from typing import Any, Self

import numpy as np

from lrplstm.attribution import Attribution
from lrplstm.attributions import Attributions
from lrplstm.base_model import Model
from lrplstm.baselines import features_of_word
from lrplstm.errors import ArgumentError, Element
from lrplstm.evaluation.arguments import Method
from lrplstm.methods import explain
from lrplstm.sequences import to_offsets
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["Corpus", "owners"]


def owners(offsets: Array) -> Array:
    """Return the sequence that each step belongs to, (steps,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


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
        Ids or features.
    offsets : ndarray of shape (B + 1,)
    single : bool
        Whether one sequence was given rather than a batch.
    backend, num_threads
        As for `lrplstm.lrp`.
    """

    given: Model
    model: Model
    data: Array
    offsets: Array
    single: bool
    backend: str
    num_threads: int | None

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
        if model.inputs is not None:
            names = ", ".join(map(shown, model.inputs))
            raise ArgumentError("model", f"expected one of one input, got one of {names}")
        batch = model.encoder.encode(inputs, unknown)
        embedding = None
        if batch.embedding is not None:
            zero = np.zeros_like(batch.embedding[:1])
            embedding = np.concatenate([batch.embedding, zero])
        # What is set to zero later is a step like others, even where padding is zeros.
        reader = model.replaced(
            embedding=embedding,
            vocabulary=None,
            unknown_token=None,
            mask_id=None,
            mask_value=None,
            feature_names=None,
            scaler=None,
            missing="error",
        )
        return cls(
            given=model,
            model=reader,
            data=batch.data,
            offsets=batch.offsets,
            single=batch.single,
            backend=backend,
            num_threads=num_threads,
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
        return 0 if self.model.embedding is None else len(self.model.embedding) - 1

    def sequences(self) -> list[Array]:
        """Return them one by one."""
        return [self.data[first:last] for first, last in pairwise(self.offsets.tolist())]

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
        if isinstance(word, str | int) and not isinstance(word, bool):
            options["baseline"] = features_of_word(word, self.given)[0]
        result = explain(
            self.model,
            self.data if self.single else self.sequences(),
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
        return replace(self, data=self.data[kept], offsets=to_offsets(lengths))
