"""One listing of a data set, for all workers, epochs and ranks."""
