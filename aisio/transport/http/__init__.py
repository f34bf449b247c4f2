"""HTTP/1.1: connections, heads, bodies, redirects, errors."""
