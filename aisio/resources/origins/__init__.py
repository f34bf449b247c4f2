"""Where a resource can be downloaded from."""
