"""The files that the page loads, read and compressed once, at start.

Our own are served without comments and most of the space, so that these cost a visitor nothing. No
parser is needed for that, because a line that might be misread is left as it is; a test compares
what is served with the sources, as a compiler reads both.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"
#: Modules that the page itself does not import: those of the worker, and of other pages.
NOT_LOADED = {f"turnstream/{name}.js" for name in ("index", "shared-worker", "storage")}
#: Of these `turnstream` is a link to `clients/js/src`.
FOLDERS = ("", "turnstream", "vendor")
MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain",
}

_COMMENT_LINES = re.compile(rb"^[ \t]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)$", re.MULTILINE)
_TYPES = re.compile(rb"/\*\* @type [^*\n]+ \*/ ?")
_LINES = re.compile(rb"^.+$", re.MULTILINE)
#: A string, or a template that has no other within.
_STRING = re.compile(rb"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\$\{[^{}`]*\}|[^`$\\])*`)""")
#: A template over several lines or with others within, a regular expression or a division.
_UNCLEAR = re.compile(rb"[`/]")
_SPACES = {
    ".js": re.compile(rb" *([=(){}\[\],;:?<>|&!*+-]) *"),
    ".css": re.compile(rb" *([{};,]) *|(?<=:)() "),
}
_INDENTATION = re.compile(rb"^\s+", re.MULTILINE)
#: Line ends within a statement, or after a semicolon.
_LINE_ENDS = re.compile(rb"(?<=[;,{(\[])\n")


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
    if own and file.suffix in _SPACES:
        content = _squeezed(content, _SPACES[file.suffix])
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return PageFile(content, gzip.compress(content, mtime=0), etag, MEDIA_TYPES[file.suffix])


def _squeezed(content: bytes, spaces: re.Pattern[bytes]) -> bytes:
    content = _TYPES.sub(b"", _COMMENT_LINES.sub(b"", content))
    content = _LINES.sub(lambda line: _without_spaces(line[0], spaces), content)
    return _LINE_ENDS.sub(b"", _INDENTATION.sub(b"", content))


def _without_spaces(line: bytes, spaces: re.Pattern[bytes]) -> bytes:
    parts = _STRING.split(line)
    # Every other part is a string.
    if any(map(_UNCLEAR.search, parts[::2])):
        return line
    parts[::2] = [spaces.sub(rb"\1", part) for part in parts[::2]]
    return b"".join(parts)
