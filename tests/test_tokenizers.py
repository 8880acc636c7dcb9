"""Text -> tokens, as the Penn Treebank has them."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_fixtures import bounded, needs_treebank, refused, treebank_sentences
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from nltk.tokenize.treebank import TreebankWordTokenizer

from lrplstm.tokenizers import TOKENIZERS, tokenize
from lrplstm.treebank import split_sentences, split_words


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


# Agreement with NLTK ----------------------------------------------------------------------------

ABBREVIATIONS = set(
    "mr mrs ms dr st vs jr sr prof etc e.g i.e bros u.s u.k l.a n.y d.c e.t".split()
)
PIECES = [
    *"a it Mr. J.K. 's n't N't 'll I'LL 'em isn't cannot GIMME gonna wanna more'n 'tis".split(),
    *".. ... ? ! , : ; \" '' `` ' ( ) [ ] { } < > -- - / * # $5 % & @ _ 3 3. 1,000 U.S.".split(),
    *". etc. x-mr. A. b. e.g. d'ye lemme gotta 'Twas É Σ aΣ".split(),
    *(" ", "  ", "\n", "\t", "\xa0"),
]


def by_nltk(text):
    """The words of NLTK's sentences, in lower case."""
    parameters = PunktParameters()
    words = {word.lower().rstrip(".") for word in text.split() if word.endswith(".")}
    parameters.abbrev_types = ABBREVIATIONS | {
        word for word in words if re.fullmatch(r"[^\W\d_](\.[^\W\d_])+", word)
    }
    return [
        word.lower()
        for sentence in PunktSentenceTokenizer(parameters).tokenize(text)
        for word in TreebankWordTokenizer().tokenize(sentence, convert_parentheses=True)
    ]


def by_us(text):
    return [word for sentence in split_sentences(text) for word in split_words(sentence)]


def test_random_texts_are_split_as_by_nltk():
    rng = random.Random(0)
    for _ in range(1200):
        chosen = rng.choices(PIECES, k=rng.randint(1, 14))
        text = "".join(piece + rng.choice(["", " "]) for piece in chosen)
        assert by_us(text) == by_nltk(text), text


@needs_treebank
def test_sentences_are_split_as_by_nltk():
    sentences = [tokens for _, tokens in treebank_sentences("dev")][::2]
    for text in map(rejoined, sentences):
        assert by_us(text) == by_nltk(text), text


# Errors -----------------------------------------------------------------------------------------


def test_what_is_no_tokenizer():
    with refused("tokenizer: expected one of treebank, whitespace, got 'words'"):
        tokenize("a", "words")


@pytest.mark.parametrize("text", [None, b"a", ["a"]])
def test_what_is_no_text(text):
    with refused("text: expected a string, got", TypeError):
        treebank(text)
