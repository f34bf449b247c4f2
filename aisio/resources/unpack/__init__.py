"""Archives and compressed files, unpacked with every member checked."""
