"""AIStore's protocol as pure functions: bytes and dicts in and out, no I/O."""
