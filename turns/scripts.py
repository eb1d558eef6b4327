"""The Lua scripts, each with the key functions and the prelude in front.

A script runs alone in Redis: what it does, no other client sees half done.
"""

from functools import cache
from pathlib import Path

from turns import keys

_FOLDER = Path(__file__).parent / "scripts"


@cache
def source(name: str) -> str:
    """Give the whole text of one script, ready for EVAL."""
    prelude = (_FOLDER / "prelude.lua").read_text()
    return keys.lua_functions() + prelude + (_FOLDER / f"{name}.lua").read_text()
