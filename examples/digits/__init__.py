"""Train on real digits read from a server: `make demo`, or `python -m digits` in examples/."""
