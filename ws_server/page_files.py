"""The files that the page loads, read and compressed once, at start.

Our own are served without indentation and without the lines that have only a comment, so that these
cost a visitor nothing; line numbers stay. So a text of several lines must not mean its indentation.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"
#: Of these `turnstream` is a link to `clients/js/src`.
FOLDERS = ("", "turnstream", "vendor")
MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain",
}

_COMMENT_LINES = re.compile(rb"^[ \t]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)$", re.MULTILINE)
_INDENTATION = re.compile(rb"^[ \t]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it is served."""

    content: bytes
    compressed: bytes
    etag: str
    media_type: str


def read_files() -> dict[str, PageFile]:
    """Read all files; return them by their paths below `static/`."""
    return {
        Path(folder, file.name).as_posix(): _read(file, own=folder != "vendor")
        for folder in FOLDERS
        for file in sorted((STATIC / folder).iterdir())
        if file.suffix in MEDIA_TYPES
    }


def _read(file: Path, *, own: bool) -> PageFile:
    content = file.read_bytes()
    if own and file.suffix in (".js", ".css"):
        content = _COMMENT_LINES.sub(lambda match: b"\n" * match[0].count(b"\n"), content)
        content = _INDENTATION.sub(b"", content)
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return PageFile(content, gzip.compress(content, mtime=0), etag, MEDIA_TYPES[file.suffix])
