"""Bound how much a JSON text has in it, before it is parsed.

Eight megabytes of empty lists take half a gigabyte, and a second in which nothing else runs.
Counting takes milliseconds: strings are removed by whole-text replacements, never by a loop.
"""

import re

from turnstream.turns.errors import BadRequest

#: Objects, lists and members of objects that a text may have.
MOST_PARTS = 128 * 1024
#: Values of lists and objects that it may have, such as the token ids of prompts.
MOST_VALUES = 1024 * 1024
#: Everything but what separates values and what begins and ends a string.
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[{:,'))
_STRING = re.compile(rb'"[^"]*"')


def check_json_size(text: bytes) -> None:
    """Check that a JSON text has not too much in it; of what is no JSON, nothing is said.

    Raises:
        BadRequest: it has.
    """
    # Quick, and enough for most: strings may have such characters too.
    if _parts(text) <= MOST_PARTS and text.count(b",") < MOST_VALUES:
        return
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = text.translate(None, _NOT_STRUCTURE)
    # Two quotes beside each other have nothing between them, whether inside or outside a string.
    structure = _STRING.sub(b"", structure.replace(b'""', b""))
    if _parts(structure) > MOST_PARTS:
        raise BadRequest(
            f"The JSON has more than {MOST_PARTS} objects, lists and members of objects.",
            code="invalid_json",
        )
    if structure.count(b",") >= MOST_VALUES:
        raise BadRequest(f"The JSON has more than {MOST_VALUES} values.", code="invalid_json")


def _parts(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{") + text.count(b":")
