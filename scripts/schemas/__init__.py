"""Make the published schemas from the structs that the server uses; see `__main__.py`."""
