"""The calls on objects and buckets, one file for each kind."""
