"""Pictures of what aisio measures, as PNG and SVG files: they take plain numbers alone."""
