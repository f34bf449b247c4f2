"""Which names a text means, without I/O: braces, wildcards, prefixes."""
