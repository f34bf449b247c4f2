"""Archives that are served: their index, members, listing and changes."""
