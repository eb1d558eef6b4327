"""Which conversations there were: ids and titles in a small file; their texts are at the server."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

#: Conversations that are kept; the oldest are dropped.
MOST = 500
TITLE_CHARACTERS = 60


class SavedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a conversation."""

    #: Of its own, since its responses change.
    id: str
    #: The address of its server.
    server: str
    title: str
    #: The id of its last response.
    last: str
    #: Seconds since 1970.
    updated: float


class CannotSave(Exception):
    """The file cannot be read or written; the message says why."""


_LIST = msgspec.json.Decoder(list[SavedConversation])


class SavedConversations:
    """The file; several `turnstream chat` may use it at once."""

    def __init__(self, folder: Path, server: str) -> None:
        self._path = folder / "conversations.json"
        self._server = server

    def all(self) -> list[SavedConversation]:
        """Return those of this server, the latest first.

        Raises:
            CannotSave: the file cannot be read.
        """
        return [each for each in self._read() if each.server == self._server]

    def put(self, *, id: str, title: str, last: str, updated: float) -> None:
        """Save a conversation, in place of what was saved of it.

        Raises:
            CannotSave: the file cannot be read or written.
        """
        saved = SavedConversation(
            id=id, server=self._server, title=title, last=last, updated=updated
        )
        with self._locked():
            others = [each for each in self._read() if each.id != id]
            latest = sorted([saved, *others], key=lambda each: each.updated, reverse=True)
            part = self._path.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_bytes(msgspec.json.encode(latest[:MOST]))
            part.replace(self._path)

    def _read(self) -> list[SavedConversation]:
        try:
            return _LIST.decode(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise CannotSave(f"{self._path}: {exc.strerror}") from exc
        except msgspec.MsgspecError as exc:
            raise CannotSave(f"{self._path} cannot be read; remove it to start again") from exc

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)
        except OSError as exc:
            raise CannotSave(f"{self._path}: {exc.strerror}") from exc


def title_of(question: str) -> str:
    """Return a conversation's title: the beginning of its first question."""
    words = " ".join(question.split())
    if len(words) <= TITLE_CHARACTERS:
        return words
    return words[: TITLE_CHARACTERS - 1].rstrip() + "…"
