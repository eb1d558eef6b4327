"""The Lua scripts, each with the key functions and what they share in front.

A script runs alone in Redis: what it does, no other client sees half done.
"""

from functools import cache
from pathlib import Path

from turnstream.turns import keys

_FOLDER = Path(__file__).parent / "lua_scripts"
#: Each uses what comes before it.
_SHARED = ("prelude", "conversation", "place", "slots", "pace", "owner", "ending")


@cache
def source(name: str) -> str:
    """Give the whole text of one script, ready for EVAL."""
    parts = [(_FOLDER / f"{part}.lua").read_text() for part in (*_SHARED, name)]
    return keys.lua_functions() + "".join(parts)
