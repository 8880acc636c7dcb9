"""How well methods explain, measured where the truth is known: `python -m experiments.NAME`."""
