"""Work that goes on after its request was answered, and calls about it."""
