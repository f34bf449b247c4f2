"""The cache of downloaded resources: entries, locks, and who uses them."""
