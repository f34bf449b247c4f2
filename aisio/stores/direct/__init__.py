"""A cloud's object store or a web server, read without a cluster, by obstore."""
