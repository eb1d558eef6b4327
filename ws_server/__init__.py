"""Sockets and HTTP in, stored events out, unchanged."""
