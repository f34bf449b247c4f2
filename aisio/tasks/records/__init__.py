"""Records in SQLite files."""
