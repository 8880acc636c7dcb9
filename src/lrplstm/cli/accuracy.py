"""How many labels are met."""

from __future__ import annotations

from collections.abc import Sequence

from lrplstm.cli.inputs import Item
from lrplstm.weights import Array

__all__ = ["Accuracy"]


class Accuracy:
    """Counts labelled sequences, and those that are predicted as their labels say."""

    def __init__(self) -> None:
        self.right = self.count = 0

    def add(self, items: Sequence[Item], predicted: Array | None) -> None:
        """Count some more, where they are labelled and something is predicted, each as a class."""
        if predicted is not None and items[0].label is not None:
            self.right += sum(int(p) == i.label for i, p in zip(items, predicted, strict=True))
            self.count += len(items)

    def show(self) -> None:
        """Say how many were met, where there are labels."""
        if self.count:
            print(f"accuracy: {self.right} of {self.count} ({self.right / self.count:.1%})")
