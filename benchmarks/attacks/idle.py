"""Row 1: sockets that do nothing. No attack, but what all limits rest on."""

import asyncio
import socket

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import UPGRADE, Target

SOCKETS = 1024
#: Times that so many handshakes are counted.
ROUNDS = 4
_AT_A_TIME = 64


async def _idle_kilobytes(target: Target) -> float:
    before = target.resident()
    sockets = await asyncio.to_thread(_open, target)
    grown = target.resident() - before
    _close(sockets)
    return grown / SOCKETS / 1000


async def _handshakes(target: Target) -> float:
    spent = 0.0
    for counted in range(ROUNDS + 1):
        # That earlier sockets end is not to be counted.
        cpu = await target.settled()
        sockets = await asyncio.to_thread(_open, target)
        # The first ones make what the others use again.
        spent += (target.process.cpu_seconds() - cpu) * bool(counted)
        _close(sockets)
    return ROUNDS * SOCKETS / spent


def _open(target: Target) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    while len(sockets) < SOCKETS:
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


_MANY = {"TURNSTREAM_ADDRESS_CONNECTIONS": "100000", "TURNSTREAM_OWNER_SOCKETS": "100000"}
ATTACKS = (
    Attack(
        row="1",
        name="memory of an idle socket",
        unit="kB",
        run=_idle_kilobytes,
        most_of_peer=1.2,
        environ=_MANY,
    ),
    Attack(
        row="1",
        name="handshakes by second of CPU",
        unit="1/s",
        run=_handshakes,
        least_of_peer=0.75,
        environ=_MANY,
    ),
)
