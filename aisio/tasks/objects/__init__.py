"""Objects with anylearn's names and methods, over the service."""
