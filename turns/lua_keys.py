"""Writes the keys of `turns.keys` and `turns.webhook_keys` into the scripts.

`turn_key(id)` becomes `('ts:turn:' .. (id))`.

A key function of Python is called the same in Lua, with `_key` behind it. It is no function there:
Redis would make it anew at each call of a script, and every function that uses it would hold it.
"""

import inspect
import re
from collections.abc import Callable
from functools import cache

from turnstream.turns import keys, webhook_keys

_CALL = re.compile(r"\b(\w+)_key\(")


def with_keys(body: str, prefix: str) -> str:
    """Return a script with its calls of key functions written out; a key begins with the prefix.

    Raises:
        KeyError: there is no such function.
        ValueError: it is called with another number of arguments.
    """
    written: list[str] = []
    at = 0
    while (call := _CALL.search(body, at)) is not None:
        arguments, end = _arguments(body, call.end())
        key = _pieces(call[1], len(arguments))
        values = [f"'{prefix}{key[0]}'"]
        for i, piece in enumerate(key[1:]):
            is_text = i % 2
            if not is_text:
                values.append(f"({with_keys(arguments[int(piece)], prefix)})")
            elif piece:
                values.append(f"'{piece}'")
        written += (body[at : call.start()], "(", " .. ".join(values), ")")
        at = end
    return "".join((*written, body[at:]))


def _arguments(body: str, begin: int) -> tuple[list[str], int]:
    """Return the arguments of a call, and where the text after it begins."""
    arguments, depth, start = [], 0, begin
    for at in range(begin, len(body)):
        if body[at] in ",)" and depth == 0:
            arguments.append(body[start:at].strip())
            start = at + 1
            if body[at] == ")":
                return [each for each in arguments if each], start
        depth += {"(": 1, ")": -1}.get(body[at], 0)
    raise ValueError(f"a call is not closed: {body[begin : begin + 40]}")


@cache
def _pieces(name: str, arguments: int) -> list[str]:
    """Return the pieces of a key: texts and, between these, the places of arguments."""
    function = _key_functions()[name]
    parameters = inspect.signature(function).parameters
    if len(parameters) != arguments:
        raise ValueError(f"{name}_key takes {len(parameters)} arguments, not {arguments}")
    return str(function(*(f"\0{i}\0" for i in range(arguments)))).split("\0")


@cache
def _key_functions() -> dict[str, Callable[..., str]]:
    """Return the functions of both modules by their names."""
    return {
        name: function
        for module in (keys, webhook_keys)
        for name, function in inspect.getmembers(module, inspect.isfunction)
    }
