"""Both backends refuse the same, with the same words; that their numbers agree is tested beside."""

from __future__ import annotations

import numpy as np
import pytest
from random_models import random_batch, random_model

import lrplstm

MODEL = random_model(C=4)
SINGLE = MODEL.astype(np.float32)
WORDS = random_model(vocabulary=["<pad>", "a", "b"], mask_id=0)
STEPS = random_model(pooling="none")
BATCH = random_batch(lengths=(3, 1, 6))
X = BATCH[2]


def explain(method="lrp", model=MODEL, inputs=X, **options):
    return lambda backend: lrplstm.explain(model, inputs, method, backend=backend, **options)


BAD = {
    "width": lambda backend: MODEL.predict(np.ones((3, 4)), backend=backend),
    "NaN": explain(inputs=[*BATCH, np.full((2, 5), np.nan)]),
    "too large for float32": explain(model=SINGLE, inputs=np.full((2, 5), 1e300)),
    "no step": explain(inputs=np.ones((0, 5))),
    "unknown token": explain(model=WORDS, inputs=["a", "never"]),
    "id": lambda backend: WORDS.predict([1, 3], backend=backend),
    "nothing but padding": lambda backend: WORDS.predict([[1, 2], [0, 0]], backend=backend),
    "class": explain(target=4),
    "class of a step": explain(model=STEPS, target=(1, 3)),
    "step": explain(model=STEPS, target=(6, 0)),
    "weights": explain("gradient_x_input", target=[1.0, np.inf, 0.0, 0.0]),
    "epsilon": explain(epsilon=-1e-3),
    "epsilon of float32": explain(model=SINGLE, epsilon=1e39),
    "bias factor": explain(bias_factor="all"),
    "product rule": explain(product_rule="most"),
    "hidden relevance": explain(hidden_relevance=np.ones((6, 7))),
    "relevance of padding": explain(model=WORDS, inputs=[1, 0], hidden_relevance=np.ones((2, 8))),
    "level": explain("sensitivity", level="word"),
    "threads": explain(num_threads=0),
    "steps of a path": explain("integrated_gradients", steps=0),
    "baseline": explain("integrated_gradients", baseline=np.ones((2, 5))),
    "measure": explain("occlusion", measure="odds"),
    "option of another method": explain("contextual_decomposition", epsilon=0.1),
    "method": explain("magic"),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_both_raise_the_same(call):
    raised = []
    for backend in ("kernel", "reference"):
        with pytest.raises((TypeError, ValueError)) as caught:
            call(backend)
        raised.append((caught.type, str(caught.value)))
    assert raised[0] == raised[1]


def test_both_warn_of_the_same():
    """Relevance that explodes, in one sequence of a batch."""
    rng = np.random.default_rng(3)
    weights = lrplstm.LSTMWeights(*(rng.normal(size=s) for s in [(80, 5), (80, 20), (80,)]))
    model = lrplstm.LSTMModel([weights], rng.normal(size=(3, 20)))
    batch = random_batch(lengths=(2, 400))
    texts = []
    for backend in ("kernel", "reference"):
        with pytest.warns(RuntimeWarning) as seen:
            lrplstm.lrp(model, batch, 0, epsilon=1e-6, backend=backend)
        texts.append([(warning.category, str(warning.message)) for warning in seen])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 1
