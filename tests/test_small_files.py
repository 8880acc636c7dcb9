"""Small files that would make much: refused before they do, in memory of the file's order."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import pytest
from loader_fixtures import golden_arrays, little_memory, refused
from random_models import random_model

import lrplstm

# What torch.save once wrote before its data: a magic number, a version and the machine.
LEGACY = b"".join(
    pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
)
MANY = 1_000_000


def checkpoint(content):
    return "model.pt", LEGACY + b"\x80\x02" + content + b"."


def safetensors(header):
    return "model.safetensors", struct.pack("<Q", len(header)) + header.encode()


def archive(*members):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return memory.getvalue()


def field(number, content):
    """A field of a protobuf message that has a length."""
    size = len(content)
    length = []
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


NUMBERS = field(5, b"\x10\x07" + field(7, b"\1" * MANY))  # int64_data of an initializer
SCALAR = (
    b"cnumpy.core.multiarray\nscalar\nq\x00cnumpy\ndtype\n(VS500000\ntRq\x01"
    b"B" + struct.pack("<I", 500_000) + bytes(500_000) + b"q\x02"
)
ENTRY = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
MOST = "refused: what it makes takes more than"

FILES = {
    "dicts": (checkpoint(b"}" * MANY), MOST),
    "lists": (checkpoint(b"]" * MANY), MOST),
    "tuples in tuples": (checkpoint(b"N" + b"\x85" * MANY), MOST),
    "calls": (checkpoint(b"ccollections\nOrderedDict\nq\x00" + b"h\x00)R" * MANY), MOST),
    "one text as many scalars": (checkpoint(SCALAR + b"h\x00(h\x01h\x02tR" * 1000), MOST),
    "marks": (checkpoint(b"(" * MANY), "refused: it is nested more than 10000 deep"),
    "entries of an archive": (
        ("model.pt", archive(*((f"a/{n}", b"") for n in range(25_000)))),
        "refused: an archive of too many entries",
    ),
    "tensors": (
        safetensors("{" + ",".join(ENTRY % n for n in range(40_000)) + "}"),
        "bytes in more than .* parts",
    ),
    "JSON": (
        (
            "model.keras",
            archive(("config.json", "{}," * MANY), ("model.weights.h5", b"\x89HDF\r\n\x1a\n")),
        ),
        "model.keras: ",
    ),
    "integers": (("model.onnx", b"\x08\x08" + field(7, NUMBERS)), "bytes in more than .* parts"),
}


@pytest.mark.parametrize("case", FILES)
def test_small_files_that_make_much(case, tmp_path):
    (name, content), match = FILES[case]
    (tmp_path / name).write_bytes(content)
    load = {"k": lrplstm.from_keras, "o": lrplstm.from_onnx}.get(
        name.rpartition(".")[2][0], lrplstm.from_torch
    )
    with little_memory(8 * len(content) + 2**25), refused(match):
        load(tmp_path / name)


def test_configs_and_vocabularies(tmp_path):
    random_model(vocabulary=list("abcdef")).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["sha256"]
    config["vocabulary_size"] = MANY
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_bytes(b"ab\n" * MANY)
    with little_memory(50 * MANY), refused("expected 6 tokens as the embedding has rows, or fewer"):
        lrplstm.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config)[:-1] + ', "x": [' + "{}," * MANY)
    with little_memory(50 * MANY), refused("config.json: expected JSON, got .* bytes in more than"):
        lrplstm.load(tmp_path)
    (tmp_path / "model").write_bytes(pickle.dumps(golden_arrays()))
    (tmp_path / "vocab").write_bytes(b"](" + b"]" * MANY + b"e.")
    with little_memory(50 * MANY), refused(f"vocab: {MOST}"):
        lrplstm.from_arras(tmp_path, embedding=[[1.0]])


def test_large_files_of_many_words_are_read(tmp_path):
    """A vocabulary of 200,000 words, as there are."""
    words = [f"{n:x}" for n in range(200_000)]
    (tmp_path / "model").write_bytes(pickle.dumps(golden_arrays()))
    (tmp_path / "vocab").write_bytes(pickle.dumps(words, 2))
    with refused(r"embedding: expected shape|vocabulary: expected .* 200000"):
        lrplstm.from_arras(tmp_path, embedding=[[1.0]])
