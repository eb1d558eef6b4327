"""Read WebSocket frames with bounds, a message at a time.

The library's own parser reads whatever has arrived at once, keeps each fragment as an object until
the message is complete, and counts no empty ones. This one stops after each message, joins
fragments as they come, and refuses lengths that are not written in the shortest form.
"""

import logging
from collections.abc import Callable, Generator

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.frames import apply_mask as unmask  # type: ignore[attr-defined]
from websockets.http11 import Response
from websockets.server import ServerProtocol

from turnstream.ws_server.connections.limits import (
    FRAGMENT_BYTES,
    FRAGMENTS,
    FRAMES_AT_A_TIME,
    PONG_UNSENT_BYTES,
)
from turnstream.ws_server.connections.refusal import SECURITY_HEADERS

_LONGEST_CONTROL = 125


class TooManyFragments(Exception):
    """A message has more fragments than its size explains."""


class FrameReader(ServerProtocol):
    """The library's protocol, with its own way to read; the handshake was read before.

    Args:
        unsent: returns how many bytes wait to be sent.
    """

    def __init__(self, *, max_size: int, logger: logging.Logger, unsent: Callable[[], int]) -> None:
        #: Whether it has stopped although more may be read: step the parser again.
        self.stopped = False
        self._unsent = unsent
        self._joined = bytearray()
        self._kind = Opcode.TEXT
        self._fragments = 0
        self._most = max_size
        super().__init__(max_size=max_size, logger=logger)

    @property
    def incomplete(self) -> bool:
        """Return whether a frame or a message has begun and has not ended."""
        return not self.stopped and (bool(self.reader.buffer) or self.current_size is not None)

    @property
    def held(self) -> int:
        """Return the bytes of what was not handed over yet."""
        return len(self.reader.buffer) + len(self._joined)

    def send_response(self, response: Response) -> None:
        """Add the headers of every answer to a refused handshake."""
        if response.status_code != 101:
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        super().send_response(response)

    def parse(self) -> Generator[None]:
        """Read frames; stop after each message, and after some other frames."""
        read = 0
        try:
            while True:
                if (yield from self.reader.at_eof()):
                    raise EOFError("unexpected end of stream")
                frame = yield from self._read_frame()
                read += 1
                if self._take(frame) or read % FRAMES_AT_A_TIME == 0:
                    self.stopped = True
                    yield
                    self.stopped = False
        except ProtocolError as exc:
            self._fail(CloseCode.PROTOCOL_ERROR, str(exc), exc)
        except PayloadTooBig as exc:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"over {self._most} bytes", exc)
        except TooManyFragments as exc:
            self._fail(CloseCode.POLICY_VIOLATION, "too many fragments", exc)
        except UnicodeDecodeError as exc:
            self._fail(CloseCode.INVALID_DATA, f"{exc.reason} at position {exc.start}", exc)
        except EOFError as exc:
            self._fail(CloseCode.ABNORMAL_CLOSURE, "", exc)
        yield
        raise AssertionError("a parser that has failed is not used")

    def _fail(self, code: CloseCode, reason: str, exc: Exception) -> None:
        self._joined = bytearray()
        self.fail(code, reason)
        self.parser_exc = exc

    def _read_frame(self) -> Generator[None, None, Frame]:
        """Read one frame; it is checked before its data is waited for."""
        first, second = yield from self.reader.read_exact(2)
        if first & 0x70:
            raise ProtocolError("reserved bits must be 0")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError as exc:
            raise ProtocolError("invalid opcode") from exc
        if not second & 0x80:
            raise ProtocolError("incorrect masking")
        final, size = bool(first & 0x80), second & 0x7F
        if opcode >= Opcode.CLOSE:
            if size > _LONGEST_CONTROL:
                raise ProtocolError("control frame too long")
            if not final:
                raise ProtocolError("fragmented control frame")
        elif size > _LONGEST_CONTROL:
            size = yield from self._read_size(2 if size == 126 else 8)
        room = self._most - (self.current_size or 0)
        if opcode < Opcode.CLOSE and size > room:
            raise PayloadTooBig(size, room)
        mask = yield from self.reader.read_exact(4)
        data = yield from self.reader.read_exact(size)
        return Frame(opcode, unmask(data, mask), final)

    def _read_size(self, width: int) -> Generator[None, None, int]:
        size = int.from_bytes((yield from self.reader.read_exact(width)))
        if size <= (_LONGEST_CONTROL if width == 2 else 0xFFFF):
            raise ProtocolError("length is not minimal")
        return size

    def _take(self, frame: Frame) -> bool:
        """Act on a frame; return whether it completes a message."""
        if frame.opcode is Opcode.PING and self._unsent() > PONG_UNSENT_BYTES:
            return False
        # It checks the order of frames, answers pings and closes.
        self.recv_frame(frame)
        if frame.opcode >= Opcode.CLOSE:
            return False
        self.events.pop()
        if frame.opcode is not Opcode.CONT:
            self._kind, self._fragments = frame.opcode, 0
            if frame.fin:
                self.events.append(frame)
                return True
        self._joined += frame.data
        self._fragments += 1
        if self._fragments > FRAGMENTS + len(self._joined) // FRAGMENT_BYTES:
            raise TooManyFragments
        if frame.fin:
            whole, self._joined = bytes(self._joined), bytearray()
            self.events.append(Frame(self._kind, whole))
        return frame.fin
