"""`lrplstm.compat` against the literal code, sentence by sentence: python -m benchmarks.compat."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import numpy as np

import lrplstm
from benchmarks import literal, workload
from benchmarks.__main__ import line, on_one_thread
from benchmarks.figures import LITERAL_SENTENCES, STEPS, faster, per_token
from benchmarks.timing import agree, best_of
from lrplstm.compat import LSTM_bidi


def write(model: lrplstm.LSTMModel, folder: Path) -> None:
    """Write a model in the format of 2017."""
    arrays = {}
    Why = np.split(model.head_weight, 2, axis=1)
    halves = zip(("Left", "Right"), model.layers[0], Why, strict=True)
    for side, lstm, half in halves:
        for part, array in (("Wxh", lstm.weight_ih), ("Whh", lstm.weight_hh), ("bxh", lstm.bias)):
            i, f, g, o = np.split(array, 4)
            arrays[f"{part}_{side}"] = np.concatenate([i, g, f, o])
        arrays |= {f"bhh_{side}": np.zeros_like(lstm.bias), f"Why_{side}": half}
    (folder / "model").write_bytes(pickle.dumps(arrays))
    (folder / "vocab").write_bytes(pickle.dumps(list(model.vocabulary)))
    np.save(folder / "embeddings.npy", model.embedding)


def gradient(model: lrplstm.LSTMModel, ids: np.ndarray, target: int) -> np.ndarray:
    """Return the gradient of a score with respect to each word vector, step by step in NumPy."""
    x = model.embedding[ids]
    total = np.zeros_like(x)
    halves = np.split(model.head_weight[target], 2)
    for turn, weights, dh in zip((1, -1), model.layers[0], halves, strict=True):
        direction = literal.Direction(weights, x[::turn])
        direction.forward()
        dx, dc = np.zeros_like(x), np.zeros_like(dh)
        for t in reversed(range(len(x))):
            i, f, g, o = np.split(direction.gates[t], 4)
            tanh_c = np.tanh(direction.c[t])
            dc = dc + dh * o * (1 - tanh_c**2)
            da = np.concatenate(
                [
                    dc * g * i * (1 - i),
                    dc * direction.c[t - 1] * f * (1 - f),
                    dc * i * (1 - g**2),
                    dh * tanh_c * o * (1 - o),
                ]
            )
            dx[t], dh, dc = da @ weights.weight_ih, da @ weights.weight_hh, dc * f
        total += dx[::turn]
    return total


def main() -> None:
    model = lrplstm.load_default().astype("float64")
    A = workload.load(os.environ.get("LRPLSTM_SST"), model)
    some, one = A.some(LITERAL_SENTENCES), A.one(STEPS)
    with tempfile.TemporaryDirectory() as folder:
        write(model, Path(folder))
        net = LSTM_bidi(folder)

    def lrp(ids):
        predicted = model.predict(ids, num_threads=1).argmax()
        return np.add(*net.lrp(ids, predicted)[:2])

    agree(lrp(one).sum(axis=1), literal.lrp(model, one), 1e-9, "LRP and the literal code")
    agree(np.add(*net.backward(one, 1)), gradient(model, one, 1), 1e-9, "both gradients")
    target = int(model.predict(one).argmax())
    print(A.source)
    with on_one_thread():
        for name, text, ids, ours, theirs in (
            ("lrp-one", f"net.lrp, one sentence of {STEPS}", [one], net.lrp, None),
            ("lrp-corpus", f"net.lrp, {len(some)} sentences one by one", some, net.lrp, None),
            (
                "backward-one",
                f"net.backward, one sentence of {STEPS}",
                [one],
                net.backward,
                gradient,
            ),
        ):
            seconds = best_of(
                {
                    "compat": lambda ids=ids, ours=ours: [ours(w, target) for w in ids],
                    "literal": lambda ids=ids, theirs=theirs: [
                        literal.lrp(model, w) if theirs is None else theirs(model, w, target)
                        for w in ids
                    ],
                }
            )
            tokens = sum(map(len, ids))
            sides = {side: per_token(s, tokens) for side, s in seconds.items()}
            print(line(faster(name, text, sides, "literal", None, own="compat")), flush=True)


if __name__ == "__main__":
    main()
