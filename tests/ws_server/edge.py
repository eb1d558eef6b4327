"""A front end with everything around HTTP set, and page servers of two other origins."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2

#: Keys of two owners; the second has a limit of one request a minute.
KEY, LIMITED_KEY = "edge-key", "limited-key"
BODY_BYTES = 64 * 1024
#: Two of the largest requests, and what they take beside their text.
SOCKET_BYTES = 2 * (BODY_BYTES + 2048)
KEEP_ALIVE_SECONDS = 2
PREFIX = "/llm"


@dataclass(frozen=True, slots=True)
class Edge:
    """A node, and the origins of two page servers, of which it lists the first."""

    url: str
    listed: str
    foreign: str


def settings(listed: str) -> dict[str, str]:
    """Give the node's variables."""
    hashes = {key: hashlib.sha256(key.encode()).hexdigest() for key in (KEY, LIMITED_KEY)}
    return {
        "TURNSTREAM_API_KEYS": f"ann:{hashes[KEY]},bob:{hashes[LIMITED_KEY]}",
        "TURNSTREAM_ORIGINS": f"{listed} tauri://localhost APP://Obsidian.md",
        "TURNSTREAM_LIMITS": "ann:requests_per_minute=60 ann:tokens_per_minute=60000"
        " bob:requests_per_minute=1",
        "TURNSTREAM_MAX_BODY_BYTES": str(BODY_BYTES),
        "TURNSTREAM_SOCKET_BYTES": str(SOCKET_BYTES),
        "TURNSTREAM_KEEP_ALIVE_SECONDS": str(KEEP_ALIVE_SECONDS),
        "TURNSTREAM_ROOT_PATH": PREFIX,
    }


class _Pages(SimpleHTTPRequestHandler):
    """Serve a folder without a word."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def pages(folder: Path) -> Iterator[str]:
    """Serve a folder's files; give the origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    """Return the status and the code of an error."""
    return answer.status_code, answer.json()["error"]["code"]
