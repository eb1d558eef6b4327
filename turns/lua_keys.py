"""Writes the functions of `turns.keys` and `turns.webhook_keys` as Lua functions, for the scripts.

A key function of Python is called the same in Lua, with `_key` behind it.
"""

import inspect
import re
from functools import cache
from itertools import chain

from turnstream.turns import keys, webhook_keys


def lua_functions(body: str, prefix: str) -> str:
    """Return the key functions that a script uses, as Lua functions called `NAME_key`.

    What they return begins with the prefix.
    """
    used = set(re.findall(r"\b(\w+_key)\(", body))
    return "".join(text for name, text in _lua_functions(prefix).items() if name in used)


@cache
def _lua_functions(prefix: str) -> dict[str, str]:
    written = {}
    for name, function in chain(
        inspect.getmembers(keys, inspect.isfunction),
        inspect.getmembers(webhook_keys, inspect.isfunction),
    ):
        parameters = list(inspect.signature(function).parameters)
        key = prefix + function(*(f"' .. {parameter} .. '" for parameter in parameters))
        written[f"{name}_key"] = (
            f"local function {name}_key({', '.join(parameters)}) return '{key}' end\n"
        )
    return written
