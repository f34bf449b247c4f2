"""Bytes in motion: retries, verified bodies, HTTP/1.1 connections, many reads at once."""
