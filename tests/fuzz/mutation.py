"""Change valid inputs a little, so that they reach past the first check of whatever reads them."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

CORPUS = Path(__file__).parent / "corpus"

_NESTED: Any = "x"
for _ in range(100):
    _NESTED = [_NESTED]

#: Values that programs are known to stumble over.
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\x00",
    "\ud800",
    "\u2028",
    "\U0001f600" * 40,
    "[INST]",
    "resp_" + 32 * "0",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"type": []},
    {"type": "text", "text": 1},
    _NESTED,
)


def seeds(kind: str) -> list[bytes]:
    """Return the inputs of a folder of the corpus."""
    return [file.read_bytes() for file in sorted((CORPUS / kind).iterdir())]


def mutated(rng: Random, seed: bytes, *, json_only: bool = False) -> bytes:
    """Return the input with one to four changes, of its JSON or of its bytes."""
    text = seed
    for _ in range(rng.randint(1, 4)):
        text = _json_change(rng, text) if json_only or rng.random() < 0.75 else _cut(rng, text)
    return text


def _json_change(rng: Random, text: bytes) -> bytes:
    try:
        body = copy.deepcopy(json.loads(text))
    except (ValueError, RecursionError):
        return _cut(rng, text)
    places = list(_places(body))
    if not places:
        return _cut(rng, text)
    parent, key = rng.choice(places)
    match rng.randrange(5):
        case 0:
            del parent[key]
        case 1:
            other, at = rng.choice(places)
            # A copy, since a value inside itself would have no JSON.
            parent[key] = copy.deepcopy(other[at]) if _still(other, at) else None
        case 2 if isinstance(parent, list):
            parent *= rng.randint(2, 40)
        case 3 if isinstance(parent, dict):
            parent[rng.choice(("type", "input", "content", "role", "stream", "zzz", ""))] = (
                rng.choice(ODD)
            )
        case _:
            parent[key] = rng.choice(ODD)
    return json.dumps(body).encode()


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    if depth > 60:
        return
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value[:50]))
    for key, inner in pairs:
        yield value, key
        yield from _places(inner, depth + 1)


def _still(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def _cut(rng: Random, text: bytes) -> bytes:
    first, last = sorted(rng.randint(0, len(text)) for _ in range(2))
    match rng.randrange(4):
        case 0:
            return text[:first] + text[last:]
        case 1:
            return text[:first] + rng.randbytes(rng.randint(1, 8)) + text[first:]
        case 2:
            return text[:last] + text[first:]
        case _:
            return text[:first]
