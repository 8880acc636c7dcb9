"""Words that are most and least relevant for each class, over all test sentences.

Each sentence is explained for each class; a word stands for a class with the highest (lowest)
relevance that it has for it anywhere (Arras et al. 2017, doi 10.18653/v1/W17-5221).
"""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments import report, treebank
from lrplstm.evaluation import representative_words

NAME = "words"
WORDS = 10


def main() -> None:
    """Explain, rank, and write the results."""
    arguments = report.parse_arguments(NAME, __doc__, cases=False)
    sentences = treebank.read_sentences(arguments.quick)
    found = representative_words(treebank.load_model(), sentences.tokens, n=WORDS)
    print(f"{sentences.source}\n")
    tables = {}
    for name, title, words, relevance in (
        (NAME, "most relevant", found.most, found.most_relevance),
        (f"{NAME}, least relevant", "least relevant", found.least, found.least_relevance),
    ):
        rows = [
            [
                str(rank),
                *(f"{words[c, rank - 1]} {relevance[c, rank - 1]:+.2f}" for c in range(len(words))),
            ]
            for rank in range(1, words.shape[1] + 1)
        ]
        tables[name] = report.to_markdown([title, *found.classes], rows)
    picture = Figure(figsize=(10, 7), layout="constrained")
    found.plot(picture.add_subplot())
    report.save(
        arguments.out, NAME, {"sentences": sentences.source} | found.to_dict(), tables, picture
    )


if __name__ == "__main__":
    main()
