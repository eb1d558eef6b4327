"""Speaks TLS in front of a port that does not, with a certificate that nobody trusts."""

import contextlib
import socket
import ssl
import subprocess
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

CHUNK = 16 * 1024
HANDSHAKE_SECONDS = 5.0
#: The first byte of a TLS connection: the content type of a handshake (RFC 8446, 5.1).
TLS_HANDSHAKE = b"\x16"


class TlsProxy:
    """Forwards TLS connections to a port of this machine; a context manager.

    `certificate` is its own authority: whoever trusts it trusts all proxies of the directory.
    With `plain_too` it also forwards connections that begin without TLS.
    """

    def __init__(self, directory: Path, target: int, *, plain_too: bool = False) -> None:
        self.target = target
        self.certificate = directory / "certificate.pem"
        self._plain_too = plain_too
        key = directory / "key.pem"
        if not key.exists():
            _make_certificate(self.certificate, key)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.certificate, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Closing alone does not end `accept` in the other thread.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(HANDSHAKE_SECONDS)
        try:
            plain = self._plain_too and accepted.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE
            client = accepted if plain else self._tls.wrap_socket(accepted, server_side=True)
        except OSError:
            accepted.close()
            return
        client.settimeout(None)
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:  # It is down.
            client.close()
            return
        with client, server:
            answers = Thread(target=_pump, args=(server, client), daemon=True)
            answers.start()
            _pump(client, server)
            answers.join()


def _make_certificate(certificate: Path, key: Path) -> None:
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=redis"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ),
        check=True,
        capture_output=True,
    )


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
