"""One HTTP/1.1 exchange: connections, heads, bodies, redirects, errors."""
