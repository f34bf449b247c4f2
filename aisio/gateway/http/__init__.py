"""HTTP: connections, requests and responses, and how AIStore writes them."""
