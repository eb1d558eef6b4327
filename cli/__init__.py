"""The command line: `turnstream up`, `serve`, `worker`, `chat` and `bulk`."""
