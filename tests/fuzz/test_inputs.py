"""Nothing that a client sends raises anything but a refusal.

`FUZZ_SECONDS` sets how long all of this takes: a few seconds in `make test`, a minute in CI, and an
hour by hand (`make fuzz`). An input that was found goes into the corpus.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.fuzz.mutation import mutated, seeds
from turnstream.turns.errors import TurnError
from turnstream.ws_server.batches.request import CHAT, RESPONSES, read_request
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import read_compact, read_create
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.frames import Refusal, read_frame
from turnstream.ws_server.unexpected import Unexpected

SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))
#: How the time is divided: four readers here, and the forms of a running node.
_SHARE = SECONDS / 5


def _inputs(kind: str) -> Iterator[bytes]:
    """Yield each seed, and then changed ones until the time is over; the same ones at first."""
    known = seeds(kind)
    yield from known
    rng = random.Random(os.environ.get("FUZZ_SEED", "1"))
    until = time.monotonic() + _SHARE
    while time.monotonic() < until:
        yield mutated(rng, rng.choice(known))


def _frame(text: bytes) -> None:
    frame = read_frame(text.decode(errors="replace"))
    if isinstance(frame.request, Refusal) and isinstance(frame.request.error, Unexpected):
        raise frame.request.error


def _response(text: bytes) -> None:
    body = read_json(text)
    for read in (read_create, read_compact):
        try:
            read(body)
        except TurnError:
            continue


def _line(text: bytes) -> None:
    for endpoint in (RESPONSES, CHAT):
        try:
            read_request(text, endpoint)
        except TurnError:
            continue


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("frames", _frame),
        ("responses", _response),
        ("chat", lambda text: read_chat(read_json(text))),
        ("lines", _line),
    ],
)
def test_an_input_is_read_or_refused(kind: str, read: Callable[[bytes], object]) -> None:
    for text in _inputs(kind):
        try:
            read(text)
        except Unexpected as exc:
            pytest.fail(f"{exc.__cause__!r}; add it to tests/fuzz/corpus/{kind}: {text!r}")
        except TurnError:
            continue
        except Exception as exc:
            pytest.fail(f"{exc!r}; add it to tests/fuzz/corpus/{kind}: {text!r}")


#: Content types of an upload; in the past some took a node minutes, or made it fail.
_TYPES = (
    "multipart/form-data; boundary=b0undary",
    "multipart/form-data; boundary=b0undary; charset=punycode",
    "multipart/form-data; boundary=b0undary; charset=idna",
    "multipart/form-data; boundary=b0undary; charset=undefined",
    "multipart/form-data; boundary=b0undary; charset=utf-7",
    'multipart/form-data; boundary="',
    "multipart/form-data",
    "application/json",
    "",
)


async def _post(host: str, port: int, content_type: str, body: bytes) -> int:
    """Return the status of an upload."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: "
        + content_type.encode()
        + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    with suppress(ConnectionError):  # it may have closed the connection before it read all
        await writer.wait_closed()
    return int(line.split()[1])


async def test_an_upload_is_stored_or_refused(node: str) -> None:
    address = urlsplit(node)
    rng = random.Random(os.environ.get("FUZZ_SEED", "1"))
    whole = len(seeds("forms"))
    for number, body in enumerate(_inputs("forms")):
        for kind in _TYPES if number < whole else (rng.choice(_TYPES),):
            status = await _post(address.hostname or "", address.port or 0, kind, body)
            assert status < 500, (kind, body)


async def test_a_charset_other_than_utf_8_is_refused_at_once(node: str) -> None:
    address = urlsplit(node)
    name = "xn--" + "a" * 150_000
    body = (
        f'--b0undary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nx\r\n--b0undary--\r\n'
    ).encode()
    kind = "multipart/form-data; boundary=b0undary; charset=punycode"

    assert await _post(address.hostname or "", address.port or 0, kind, body) == 400
