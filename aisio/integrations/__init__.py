"""aisio in other people's frameworks: one module or package for each."""
