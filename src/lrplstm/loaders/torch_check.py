"""Whether a model that was read of a PyTorch module has the scores of the module's own forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from lrplstm.layers import ACTIVATIONS, POOLINGS, DenseLayer
from lrplstm.loaders.torch_inputs import Call, Layout, arguments_of, layouts, made_up, sequences_in
from lrplstm.loaders.torch_run import Runner, unwrapped
from lrplstm.model import LSTMModel
from lrplstm.texts import first_line, shown
from lrplstm.verification import Comparison, arrays_in, compare, largest_of
from lrplstm.weights import Array

__all__ = ["MixedError", "Reading", "check_forward"]

_RTOL = 1e-4


class MixedError(ValueError):
    """A forward gives other scores for sequences together than for each alone."""


_MOST_VARIED = 3  # layers of a head whose activations are all tried


@dataclass(frozen=True)
class Reading:
    """How a module was read.

    Attributes
    ----------
    head : tuple of str
        Names of what makes the scores.
    batch_first : bool
        Of the LSTM.
    padding_id : int or None
        Of the embedding.
    """

    head: tuple[str, ...]
    batch_first: bool
    padding_id: int | None


class _Run(NamedTuple):
    """What a module returned for some sequences."""

    sequences: list[Array]
    arrays: list[Array]


Predict = Callable[[list[Array]], Sequence[Array]]


def check_forward(
    torch: Any, module: Any, model: LSTMModel, reading: Reading, example: Any = None
) -> bool:
    """Return whether a module's forward does something by the numbers that it gets.

    Raise a ValueError if it has other scores, or cannot be run.

    Parameters
    ----------
    torch, module
        PyTorch, and what the model was made from.
    model : LSTMModel
    reading : Reading
    example : optional
        What forward takes: an array or tensor, a tuple of arguments or a dict of them by name. Made
        up if it is None.
    """
    module = unwrapped(torch, module)
    check = _Check(torch, module, model, reading)
    if example is not None:
        check.of_example(example)
    else:
        check.of_made_up()
    return check.runner.compares


class _Check:
    def __init__(self, torch: Any, module: Any, model: LSTMModel, reading: Reading) -> None:
        self.torch, self.module = torch, module
        self.model, self.reading = model.replaced(vocabulary=None, unknown_token=None), reading
        self.runner = Runner(torch, module)
        self.bare = type(module).forward is torch.nn.LSTM.forward

    # What is run --------------------------------------------------------------------------------

    def of_example(self, example: Any) -> None:
        call = arguments_of(example)
        try:
            batches = sequences_in(self.torch, call, self.model, self.reading.padding_id)
        except (TypeError, ValueError) as error:
            raise ValueError(str(error)) from None
        try:
            arrays = self._run(call)
        except Exception as error:
            raise ValueError(
                "example: expected what forward takes, a tuple of its arguments or a dict of them, "
                f"but it raised {_shown(error)}; check=False leaves the comparison out"
            ) from None
        runs = [[_Run(batch, arrays)] for batch in batches]
        if not any(self._agrees(self._compare(run)) for run in runs):
            raise self._disagree(runs, "the example")

    def of_made_up(self) -> None:
        single, equal = made_up(self.model, self.reading.padding_id)
        tried, fault = [], None
        for layout in layouts(self.model, batch_first=self.reading.batch_first):
            try:
                runs = [_Run([row], self._run(layout.call([row]))) for row in single]
            except Exception as error:  # whatever a forward raises
                fault = fault or _shown(error)
                continue
            if self._agrees(self._compare(runs)):
                if layout.axis is not None:
                    self._check_batch(layout, runs, equal)
                return
            tried.append(runs)
        if not tried:
            what = "ids" if self.model.embedding is not None else "numbers"
            names = ", ".join(
                layout.name for layout in layouts(self.model, batch_first=self.reading.batch_first)
            )
            raise ValueError(
                f"source: expected a module that runs on made-up {what}, {names}, to compare its "
                f"scores; it raised {fault}; pass what its forward takes as example=, a tuple of "
                "arguments or a dict of them, or check=False"
            )
        raise self._disagree(tried, "made-up inputs")

    def _check_batch(self, layout: Layout, runs: list[_Run], rows: list[Array]) -> None:
        """Raise a ValueError if sequences have other scores together than each has alone."""
        try:
            together = _Run(rows, self._run(layout.call(rows)))
        except Exception:  # it may be made for one sequence
            return
        comparison = self._compare([together])
        if comparison is None or self._agrees(comparison):
            return
        alone = [*runs, *(_Run([row], self._run(layout.call([row]))) for row in rows)]
        if not self._agrees(self._compare(alone)):
            raise self._disagree([alone], "made-up inputs")
        raise MixedError(
            "source: expected the scores that forward gives, which agree for one sequence, but "
            f"differ for {len(rows)} at once by up to {comparison}: forward mixes sequences, "
            "as h_n.view(batch, -1) does; check=False reads it as it is for one"
        )

    def _run(self, call: Call) -> list[Array]:
        """Return the arrays that a module returns."""
        returned = self.runner.run(*call)
        arrays = arrays_in("forward", returned)
        if self.bare and self.model.pooling != "none":
            return [self._pooled(returned)]
        if not self.model.head:  # the states of all layers may be among what is returned
            arrays += [states for array in arrays for states in self._final_states(array)]
        return arrays

    def _pooled(self, returned: Any) -> Array:
        """Return what pooling makes of the states that a bare LSTM returns."""
        output, (final, _) = returned
        ((output,), (final,)) = (arrays_in("forward", one) for one in (output, final))
        if self.model.pooling == "last":
            (states,) = self._final_states(final)
            return states
        axis = output.ndim - 2 if self.module.batch_first or output.ndim == 2 else 0
        pooled: Array = getattr(output, self.model.pooling)(axis=axis)
        return pooled

    def _final_states(self, array: Array) -> Iterator[Array]:
        """Yield the top layer's final states side by side, (B, width), of those of all layers."""
        sides = 1 + self.model.bidirectional
        if array.ndim == 2:  # without the axis of sequences
            array = array[:, None]
        if array.ndim == 3 and array.shape[::2] == (
            self.model.num_layers * sides,
            self.model.hidden_size,
        ):
            yield array[-sides:].swapaxes(0, 1).reshape(array.shape[1], -1)

    # What is compared ---------------------------------------------------------------------------

    @property
    def _rtol(self) -> float:
        return max(_RTOL, self.runner.coarse)

    def _agrees(self, comparison: Comparison | None) -> bool:
        return comparison is not None and comparison.relative <= self._rtol

    def _compare(self, runs: list[_Run]) -> Comparison | None:
        found = [_compare(runs, self.model.predict, self._rtol)]
        if self.model.pooling == "none":  # forward may give those of the last step only
            found.append(_compare(runs, self._predict_last, self._rtol))
        return min(filter(None, found), key=lambda c: c.relative, default=None)

    def _predict_last(self, rows: Sequence[Array]) -> list[Array]:
        return [scores[-1] for scores in self.model.predict(rows)]

    def _disagree(self, trials: list[list[_Run]], what: str) -> ValueError:
        """Return the error that says how far scores are apart, and what could be meant."""
        compared = [(self._compare(runs), runs) for runs in trials]
        comparison = next((c for c, _ in compared if c is not None), None)
        hint = next((hint for c, runs in compared for hint in self._fitting(runs, c)), None)
        if comparison is None:
            shapes = ", ".join(str(array.shape) for array in trials[0][0].arrays[:4])
            T = len(trials[0][0].sequences[0])
            difference = (
                f"shape {shapes or 'of no array'} for {len(trials[0][0].sequences)} sequence(s) of "
                f"{T} steps, where the model has {self.model.num_classes} score(s)"
                + (" a step" if self.model.pooling == "none" else "")
            )
        else:
            difference = f"others: on {what} they differ by up to {comparison}"
        if hint is None:
            hint = (
                "no pooling= and no activation agrees, so forward does something that from_torch "
                "cannot read (attention, a residual, ...): head=False gives a model of the states, "
                "with hidden_relevance= for what comes after them"
            )
        return ValueError(
            f"source: expected the scores that forward gives, got {difference}; {hint}; "
            "check=False leaves the comparison out"
        )

    def _fitting(self, runs: list[_Run], found: Comparison | None) -> Iterator[str]:
        """Yield the arguments with which scores agree, and far better than they were found to."""
        bound = self._rtol if found is None else min(self._rtol, found.relative / 10)
        for pooling in sorted(POOLINGS, key=lambda name: name != self.model.pooling):
            states = self.model.replaced(pooling=pooling, head=(), class_names=None)
            steps = [states.predict(run.sequences) for run in runs]
            for activations, head in _heads(self.model.head):
                for last in (False, True) if pooling == "none" else (False,):
                    scores = [[_apply(head, s[-1] if last else s) for s in rows] for rows in steps]
                    other = _compare(runs, _in_turn(scores), bound)
                    if other is not None and other.relative <= bound:
                        yield self._said(pooling, activations, last=last)

    def _said(self, pooling: str, activations: tuple[str, ...], *, last: bool) -> str:
        """Return the arguments that say so."""
        said = [f"pooling={pooling!r}"]
        given = ("linear", *(layer.activation for layer in self.model.head))
        if activations and activations != given:
            names = [*([] if activations[0] == "linear" else [activations[0]]), *self.reading.head]
            said.append(f"head={shown(names)}")
            if activations[1:] != given[1:]:
                said.append(f"activations={list(activations[1:])!r}")
        where = " at the last step, target=(-1, class)" if last else ""
        return f"{', '.join(said)} agree{'s' * (len(said) == 1)}{where}"


def _compare(runs: list[_Run], predict: Predict, rtol: float) -> Comparison | None:
    """Return the largest difference of several runs, or None if some have no array of scores."""
    expected = [predict(run.sequences) for run in runs]
    largest = max(map(largest_of, expected))
    found = [
        compare(run.arrays, scores, rtol, largest)
        for run, scores in zip(runs, expected, strict=True)
    ]
    several = [comparison for comparison in found if comparison is not None]
    if len(several) < len(found):
        return None
    worst = max(range(len(several)), key=lambda b: several[b].difference)
    return several[worst] if len(runs) == 1 else replace(several[worst], sequence=worst)


def _in_turn(scores: Sequence[Sequence[Array]]) -> Predict:
    """Return what gives the scores of one run after the other."""
    remaining = iter(scores)
    return lambda rows: next(remaining)


def _heads(
    head: Sequence[DenseLayer],
) -> Iterator[tuple[tuple[str, ...], list[tuple[DenseLayer | None, str]]]]:
    """Yield heads with other activations: of the states, and of each layer; the likeliest first."""
    given = tuple(str(layer.activation) for layer in head)
    own = [given] if len(head) > _MOST_VARIED else list(product(ACTIVATIONS, repeat=len(head)))
    choices = [(first, *rest) for first in ACTIVATIONS for rest in own] if head else [()]
    changed = {c: sum(a != b for a, b in zip(c, ("linear", *given), strict=False)) for c in choices}
    for choice in sorted(choices, key=changed.__getitem__):
        layers = [None, *head] if head else []
        yield choice, list(zip(layers, choice, strict=True))


def _apply(head: Sequence[tuple[DenseLayer | None, str]], states: Array) -> Array:
    for layer, activation in head:
        if layer is not None:
            states = states @ layer.weight.T + (0 if layer.bias is None else layer.bias)
        if activation != "linear":
            states = np.maximum(states, 0) if activation == "relu" else np.tanh(states)
    return states


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
