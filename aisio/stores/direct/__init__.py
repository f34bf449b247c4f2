"""Clouds and web servers, reached without a cluster, by obstore."""
