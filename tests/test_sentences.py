"""Files of labelled sentences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_fixtures import (
    bounded,
    damage,
    loaded_or_refused,
    needs_treebank,
    refused,
    treebank_file,
    treebank_sentences,
)

import lrplstm
from lrplstm.sentences import parse_sentences

SAMPLES = Path(__file__).parents[1] / "data" / "sentences.txt"


def text_of(sentences):
    return "".join(f"{s.label}\t{' | '.join(s.tokens)}\n" for s in sentences)


def parse(text):
    return parse_sentences(text, "lines")


def test_a_line():
    (sentence,) = parse("4\tca | n't | 8\xa01\\/2 | a\x85b\u2028c | | | .\n")
    assert sentence.tokens == ("ca", "n't", "8\xa01\\/2", "a\x85b\u2028c", "|", ".")
    assert sentence.label == 4
    assert sentence.target == 3


def test_the_sample_file_round_trip():
    sentences = lrplstm.read_sentences(SAMPLES)
    assert len(sentences) >= 200
    assert text_of(sentences) == SAMPLES.read_bytes().decode()


words = st.text(st.characters(exclude_characters="\t\n\r ", codec="utf-8"), min_size=1)


@bounded
@given(st.lists(st.tuples(st.lists(words, min_size=1), st.integers(1, 999_999_999)), min_size=1))
def test_round_trip(lines):
    sentences = [lrplstm.Sentence(tuple(tokens), label) for tokens, label in lines]
    assert parse(text_of(sentences)) == sentences
    assert parse(text_of(sentences).replace("\n", "\r\n\r\n\n")) == sentences
    assert parse(text_of(sentences).removesuffix("\n")) == sentences


def test_windows_files(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"\xef\xbb\xbf5\ta | fine | film\r\n\r\n1\tdull\r\n")
    assert [(s.label, s.tokens) for s in lrplstm.read_sentences(str(path))] == [
        (5, ("a", "fine", "film")),
        (1, ("dull",)),
    ]


@needs_treebank
def test_the_treebank():
    found = lrplstm.read_sentences(treebank_file("sequence_test.txt"))
    assert len(found) == 2210
    assert sum(len(sentence.tokens) for sentence in found) == 42405
    expected = Counter(treebank_sentences("test"))
    assert Counter((sentence.target, sentence.tokens) for sentence in found) == expected


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (
            "no label",
            r"expected a label from 1, a tab and words separated by ' \| ', got 'no label'",
        ),
        ("4", "expected a label"),
        ("4 a | b", "expected a label"),
        ("\ta | b", "expected a label"),
        ("0\ta", "expected a label"),
        ("-1\ta", "expected a label"),
        ("+1\ta", "expected a label"),
        ("1.0\ta", "expected a label"),
        ("1_0\ta", "expected a label"),
        (" 1\ta", "expected a label"),
        ("²\ta", "expected a label"),
        ("٣\ta", "expected a label"),
        ("9" * 5000 + "\ta", "expected a label"),
        ("4\t", "expected words, got an empty one"),
        ("4\ta | ", "expected words, got an empty one"),
        ("4\ta |  | b", "expected words, got an empty one"),
        ("4\ta fine film", r"expected words separated by ' \| ', got 'a fine film'"),
        ("4\t2\ta | fine", r"expected words separated by ' \| ', got '2\\ta'"),
        ("4\ta| fine", r"expected words separated by ' \| ', got 'a\| fine'"),
    ],
)
def test_lines_of_another_form(line, match):
    with refused(rf"lines: line 3: {match}"):
        parse(f"1\ta\n\n{line}\n2\tb\n")


@pytest.mark.parametrize("text", ["", "\n\r\n\n"])
def test_no_sentences(text):
    with refused("lines: expected sentences, found none"):
        parse(text)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"4\tcaf\xe9\n")
    with refused(r"latin1\.txt: expected UTF-8, got something else at byte 5"):
        lrplstm.read_sentences(path)
    with pytest.raises(FileNotFoundError):
        lrplstm.read_sentences(tmp_path / "none.txt")
    with refused("path: expected the path of a file, got int", TypeError):
        lrplstm.read_sentences(3)


def test_damage_is_refused_or_harmless(tmp_path):
    path = tmp_path / "sentences.txt"

    @bounded
    @given(damage([SAMPLES.read_bytes()[:500], "1\té | 😀\r\n5\tb\r\n".encode()]))
    def check(content):
        path.write_bytes(content)
        for sentence in loaded_or_refused(lrplstm.read_sentences, path) or ():
            assert sentence.label >= 1
            assert all(sentence.tokens)

    check()
