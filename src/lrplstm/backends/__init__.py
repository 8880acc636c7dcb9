"""What computes: the choice of a backend, and the readable one in NumPy."""
