"""Memory and bandwidth of GPUs, as their makers' data sheets have them."""

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU."""

    memory: int
    #: Bytes a second, from its memory.
    bandwidth: float
    #: The dtype that it computes fastest with the engine.
    dtype: str = "bfloat16"


def _card(gib: float, gigabytes_per_second: float, dtype: str = "bfloat16") -> Card:
    return Card(int(gib * GIB), gigabytes_per_second * 1e9, dtype)


CARDS = {
    "B200": _card(179, 8000),
    "H200": _card(139.8, 4800),
    "H100": _card(79.1, 3350),
    "A100-80": _card(79.1, 2039),
    "A100-40": _card(39.4, 1555),
    "L40S": _card(44.4, 864),
    "A10": _card(22.0, 600),
    "L4": _card(22.0, 300),
    "T4": _card(14.6, 320, "float16"),
    "V100-32": _card(31.7, 900, "float16"),
    "V100-16": _card(15.8, 900, "float16"),
    "RTX-5090": _card(31.3, 1792),
    "RTX-4090": _card(23.5, 1008),
    "RTX-3090": _card(23.6, 936),
    "RTX-3060": _card(11.6, 360),
}
