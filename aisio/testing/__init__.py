"""Helpers for tests, shipped for those who write stores, sources and training code.

They need pytest, which the extra `tests` brings.
"""
