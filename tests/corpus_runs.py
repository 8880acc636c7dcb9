"""A small corpus, and runs through it in processes of their own, which may be killed."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
from random_models import random_model

from lrplstm import corpus

WORDS = ["good", "bad", "film", "plot", "not", "the"]
PIECE_BYTES = 200


def small_model():
    """It knows a few words, and no others."""
    return random_model(3, vocabulary=WORDS, dtype=np.float32)


def write_lines(path, rows=600):
    """Write sentences, of which some cannot be explained: empty ones, and ones of unknown words."""
    rng = np.random.default_rng(4)
    lines = [" ".join(rng.choice(WORDS, rng.integers(0, 6))) for _ in range(rows)]
    lines[7] = lines[rows // 2] = "a dull film"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(source, out, **settings):
    """Explain the corpus."""
    settings = {"tokenized": True, "unknown": "error", "workers": 1} | settings
    settings.setdefault("piece_bytes", PIECE_BYTES)
    return corpus.explain_corpus(
        settings.pop("model", None) or small_model(), source, out, **settings
    )


def run_and_say(pipe, *arguments, **settings):
    """Do the same; say through a pipe when a part is done, and which processes work."""

    def say(far):
        pipe.send([process.pid for process in multiprocessing.active_children()])

    pipe.send([])
    run(*arguments, progress=say, **settings)


def begun(*arguments, **settings):
    """Begin a run in a process: return it, and a pipe through which it says how far it is."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["corpus_runs"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=run_and_say, args=(there, *arguments), kwargs=settings)
    process.start()
    there.close()
    return process, here


def written(out):
    """Return what a run wrote: the bytes of each part and of its rejects, by their names."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in ("data", "rejects")
        for path in sorted((Path(out) / folder).iterdir())
    }


def rows_of(out):
    """Return the rows that a folder has, explained or rejected, file by file."""
    explained = corpus.open(out)
    rows = [
        (os.path.basename(str(file)), int(row))
        for some in explained
        for file, row in zip(some.sequence_labels["file"], some.sequence_labels["row"], strict=True)
    ]
    rejects = [(os.path.basename(one["file"]), one["row"]) for one in explained.rejects()]
    return sorted(rows + rejects)
