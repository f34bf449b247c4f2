"""Train on digits under Lightning, be killed, and go on: `python -m lightning_digits`."""
