"""A request and its reply."""
