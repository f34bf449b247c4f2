"""The order of the samples of an epoch, and where a job stands in it: arithmetic alone."""
