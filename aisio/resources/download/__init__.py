"""Downloads, hashed while they are written, and resumed."""
