"""The served folder: files, their metadata, and who may open what."""
