"""What the workers of a Loader read, and how their batches come back."""
