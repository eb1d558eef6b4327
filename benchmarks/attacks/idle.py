"""Row 1: sockets that do nothing. No attack, but what every limit rests on."""

import asyncio
import socket
import time

from benchmarks.attacks.target import UPGRADE, Target

SOCKETS = 1000
_AT_A_TIME = 64


def kilobytes_of_an_idle_socket(target: Target) -> float:
    """Return the server's memory by socket, in kB."""
    before = target.resident()
    sockets = _open(target, SOCKETS)
    grown = target.resident() - before
    _close(sockets)
    return grown / SOCKETS / 1000


def handshakes_a_second(target: Target) -> float:
    """Return how many handshakes are answered in a second, of 64 at a time."""
    begun = time.perf_counter()
    sockets = _open(target, SOCKETS)
    taken = time.perf_counter() - begun
    _close(sockets)
    return SOCKETS / taken


def handshakes_by_cpu(target: Target) -> float:
    before = target.process.cpu_seconds()
    sockets = _open(target, SOCKETS)
    spent = target.process.cpu_seconds() - before
    _close(sockets)
    return SOCKETS / spent


def _open(target: Target, number: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    while len(sockets) < number:
        batch = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(_AT_A_TIME)]
        for each in batch:
            each.sendall(UPGRADE + b"\r\n")
        for each in batch:
            head = each.recv(4096)
            assert b" 101 " in head, head
        sockets += batch
    return sockets


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
