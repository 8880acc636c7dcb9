"""Settings that must be made before any module of tests is imported."""

import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it when it is first imported
