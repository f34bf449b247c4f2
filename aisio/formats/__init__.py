"""File formats as bytes and their meaning, without I/O: tar, decompression, checksums."""
