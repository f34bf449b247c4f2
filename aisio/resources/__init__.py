"""Bytes by name: downloads, verified, unpacked and kept; `aisio.load`."""
