"""How fast the package is: ratios between things that are measured in the same run.

``python -m benchmarks`` measures and prints; see `benchmarks/README.md`.
"""
