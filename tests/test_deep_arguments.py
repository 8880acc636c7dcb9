"""No argument, however deep or long, gives anything but one clear error."""

from __future__ import annotations

import inspect

import pytest
from random_models import random_batch, random_model

import lrplstm
from lrplstm.texts import shown


def deep_list():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


VALUES = {"deep": deep_list(), "long": 10**6000, "text": "\x1b[31m" + "x" * 10**5}


def fails_clearly(function, *args, **options):
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*args, **options)
    text = str(caught.value)
    assert text.isprintable(), repr(text[:200])
    assert len(text) < 500, text[:200]


@pytest.mark.parametrize("kind", VALUES)
def test_arguments_of_methods_and_models(kind):
    value = VALUES[kind]
    model = random_model(3, pooling="none")
    (x,) = random_batch(lengths=(4,))
    for name, method in lrplstm.METHODS.items():
        for option in list(inspect.signature(method).parameters)[2:]:
            if option in ("num_threads", "seed") and kind == "long":
                continue  # no more threads are used than there is work; a seed may be any number
            fails_clearly(lrplstm.explain, model, x, name, **{option: value})
    for target in [(value, 0), (0, value)]:
        fails_clearly(lrplstm.lrp, model, x, target)
    for inputs in (value, [value]):
        fails_clearly(lrplstm.lrp, model, inputs)
    fails_clearly(lrplstm.explain, model, x, value)
    fails_clearly(model.astype, value)
    for option in ("layers", "head", "pooling", "vocabulary", "class_names", "mask_id", "task"):
        fails_clearly(model.replaced, **{option: value})
    fails_clearly(lrplstm.DenseLayer, value)


def test_a_value_is_shown_in_part():
    assert shown({"a": [1, 2]}) == "{'a': [1, 2]}"
    assert len(shown("x" * 10**6)) == 60
    assert "too long" in shown(10**6000)
    assert shown("\x1b") == "'\\x1b'"
