"""What datasets and datapipes do to a stream of items: stages of a pipeline, without I/O."""
