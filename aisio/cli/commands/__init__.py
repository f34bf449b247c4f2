"""The commands of `aisio`, one file each."""
