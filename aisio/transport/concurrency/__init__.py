"""Many small reads in flight at once, their results in order."""
