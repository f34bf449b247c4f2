"""NVIDIA's registry, NGC."""
