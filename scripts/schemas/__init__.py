"""Makes the published schemas from the types that the server uses; see `__main__.py`."""
