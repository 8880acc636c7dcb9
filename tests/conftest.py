"""Settings that must be made before any module of tests is imported."""

import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it when it is first imported
# There is a process for each processor; threads of PyTorch's own would only be in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
