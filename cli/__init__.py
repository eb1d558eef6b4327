"""The one command people type; it starts the other rooms."""
