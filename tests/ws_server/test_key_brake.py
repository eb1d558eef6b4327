"""Guessing keys is slow, and costs nobody else at the same address."""

import pytest

from turnstream.ws_server import key_brake
from turnstream.ws_server.key_brake import KeyBrake
from turnstream.ws_server.request_errors import TooManyWrongKeys


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def guess(brake: KeyBrake, times: int, address: str = "a") -> None:
    for number in range(times):
        brake.check(address, f"guess-{number}")
        brake.unknown(address)


def test_beyond_its_keys_a_minute_an_address_waits_for_the_next() -> None:
    clock = Clock()
    brake = KeyBrake(60, clock)
    guess(brake, 60)
    with pytest.raises(TooManyWrongKeys) as refused:
        brake.check("a", "right")

    assert refused.value.retry_seconds == 1
    clock.now += 1
    guess(brake, 1)
    with pytest.raises(TooManyWrongKeys):
        brake.check("a", "right")
    clock.now += 60
    guess(brake, 60)


def test_keys_that_an_address_has_used_and_other_addresses_go_on() -> None:
    brake = KeyBrake(1)
    brake.known("a", "right")
    guess(brake, 1)

    brake.check("a", "right")
    brake.check("b", "right")
    with pytest.raises(TooManyWrongKeys):
        brake.check("a", "other")


def test_no_limit_brakes_nobody() -> None:
    guess(KeyBrake(0), 1000)


def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_brake, "REMEMBERED", 3)
    brake = KeyBrake(1)
    for number in range(10):
        brake.unknown(f"address {number}")
        brake.known("a", f"key {number}")

    assert len(brake._clear_at) == len(brake._used) == 3
    brake.check("address 0", "x")
    with pytest.raises(TooManyWrongKeys):
        brake.check("address 9", "x")
