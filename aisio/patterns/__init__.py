"""Patterns of names, without I/O: braces, wildcards, prefixes."""
