"""Checkpoints: streams over any store."""
