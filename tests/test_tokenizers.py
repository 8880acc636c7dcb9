"""Text -> tokens, as the Penn Treebank has them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_fixtures import bounded, needs_treebank, refused, treebank_sentences

from lrplstm.tokenizers import TOKENIZERS, tokenize


def treebank(text):
    return tokenize(text, "treebank")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It isn't funny!", "it is n't funny !"),
        ("I can't, I cannot, I won't.", "i ca n't , i can not , i wo n't ."),
        ("I'm sure they've said she'd go; we'll see.",
         "i 'm sure they 've said she 'd go ; we 'll see ."),
        ("The director's and the actors' fault", "the director 's and the actors ' fault"),
        # quotation marks
        ('He said "yes" (twice).', "he said `` yes '' -lrb- twice -rrb- ."),
        ("“It’s ‘great’,” he said.", "`` it 's ` great ' , '' he said ."),
        ("„Ja“ – «non».", "`` ja '' -- `` non '' ."),
        ("The film 'Solaris', by Tarkovsky, isn't 'difficult'.",
         "the film ` solaris ' , by tarkovsky , is n't ` difficult ' ."),
        ("'I don't like it.' Then he left.", "` i do n't like it . ' then he left ."),
        ("'Tis the actors' fault.", "'t is the actors ' fault ."),
        ("in the '90s, 'til dawn", "in the '90s , 'til dawn"),
        # dashes, dots, slashes, asterisks
        ("a – b—c -- d-e", "a -- b -- c -- d-e"),
        ("Well… so... no", "well ... so ... no"),
        ("and/or 9/11 and\\/or", "and\\/or 9\\/11 and\\/or"),
        ("that *** film\\*", "that \\*\\*\\* film\\*"),
        ("[a] {b} $5 50% A&B #1", "-lsb- a -rsb- -lcb- b -rcb- $ 5 50 % a & b # 1"),
        # sentences and abbreviations
        ("It drags. It ends. Good", "it drags . it ends . good"),
        ("Mr. Smith and Dr. No met St. John, etc. and left.",
         "mr. smith and dr. no met st. john , etc. and left ."),
        ("J.K. Rowling and D.J. Qualls. The U.S. too.",
         "j.k. rowling and d.j. qualls . the u.s. too ."),
        ("It costs 3.50, or 1,000.", "it costs 3.50 , or 1,000 ."),
        ("Plan B. It works. A.", "plan b. it works . a ."),
        # what else people write
        ("😀 Great👍🏽 film!!!", "😀 great👍🏽 film ! ! !"),
        ("NAÏVE café", "naïve café"),
        ("two\nlines\u2028and\xa0more", "two lines and more"),
        ("", ""),
        (" \n\t\xa0 ", ""),
    ],
)  # fmt: skip
def test_treebank(text, tokens):
    assert treebank(text) == tokens.split(" ") if tokens else treebank(text) == []


@pytest.mark.parametrize(
    ("text", "tokens"), [("It is  funny !\n", ["It", "is", "funny", "!"]), (" ", [])]
)
def test_whitespace(text, tokens):
    assert tokenize(text, "whitespace") == tokens


def test_a_long_text_is_its_sentences():
    sentence = "It isn't the “best” film (of 2003), Mr. Smith said; but I can't complain... "
    tokens = treebank(sentence)
    assert len(tokens) == 23
    assert treebank(sentence * 700) == tokens * 700


@bounded
@given(st.text(st.sampled_from("qq Q'\"`’‘“”.!?…-–()[]/\\*\n\x85😀") | st.characters()))
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_any_text(tokenizer, text):
    tokens = tokenize(text, tokenizer)
    assert all(token.split() == [token] for token in tokens)
    # A letter that is in no name of a bracket is neither lost nor made.
    assert "".join(tokens).lower().count("q") == text.lower().count("q")


# Agreement with the treebank --------------------------------------------------------------------

PLAIN = {"-lrb-": "(", "-rrb-": ")", "``": '"', "''": '"', "`": "'"}
CLOSING = frozenset("n't 's 're 've 'll 'd 'm . , ! ? ; : ... % ' '' -rrb-".split())
OPENING = frozenset("` `` -lrb- $ #".split())


def rejoined(tokens):
    """Text that has these tokens, as people would write it, but for capital letters."""
    text, before = "", "``"
    for token in tokens:
        space = " " if token not in CLOSING and before not in OPENING else ""
        text += space + PLAIN.get(token, token.replace("\\/", "/").replace("\\*", "*"))
        before = token
    return text


def test_rejoined():
    tokens = "`` it is n't -lrb- a good -rrb- film , '' 9\\/11 ...".split()
    assert rejoined(tokens) == '"it isn\'t (a good) film," 9/11...'


@needs_treebank
@pytest.mark.parametrize("part", ["dev", "test"])
def test_agreement_with_the_treebank(part):
    lacking = total = exact = 0
    sentences = [tokens for _, tokens in treebank_sentences(part)]
    for tokens in sentences:
        found = treebank(rejoined(tokens))
        lacking += (Counter(tokens) - Counter(found)).total()
        lacking += (Counter(found) - Counter(tokens)).total()
        total += len(tokens)
        exact += found == list(tokens)
    assert lacking / total < 0.002
    assert exact / len(sentences) > 0.985


# Errors -----------------------------------------------------------------------------------------


def test_what_is_no_tokenizer():
    with refused("tokenizer: expected one of treebank, whitespace, got 'words'"):
        tokenize("a", "words")


@pytest.mark.parametrize("text", [None, b"a", ["a"]])
def test_what_is_no_text(text):
    with refused("text: expected a string, got", TypeError):
        treebank(text)


def test_the_rest_of_nltk_is_not_imported():
    script = (
        "import sys; from lrplstm.tokenizers import treebank; print(treebank('It works.'));"
        "assert not {'scipy', 'nltk', 'nltk.tokenize'} & set(sys.modules);"
        "import nltk; assert nltk.word_tokenize and treebank('It works.')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "['it', 'works', '.']\n", done.stderr
