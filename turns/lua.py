"""Loads the Lua scripts and calls them with arguments by name.

A script runs atomically in Redis: no other client sees a half-done change. Its first line names the
files it includes (`-- include: events, owner`), each of which may include others; `turns.lua_keys`
writes its keys. Redis makes every function of a script anew at each call, so those that a script
does not use are left out.
"""

import re
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import redis
import redis.asyncio

from turnstream.turns import metrics
from turnstream.turns.lua_keys import with_keys
from turnstream.turns.prefixed_clients import prefix_of
from turnstream.turns.record import VERSION
from turnstream.turns.redis_problem import REDIS_ERRORS, problem_of

_FOLDER = Path(__file__).parent / "lua_scripts"
_INCLUDE = re.compile(r"-- include: (.*)\n")
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end\n", re.MULTILINE | re.DOTALL)

Argument = str | int | float | bool | Sequence["Argument"] | dict[str, "Argument"] | None

_encode = msgspec.json.Encoder().encode


class Script:
    """One script, on a blocking or an asyncio client.

    A call sends its keyword arguments as one JSON object, without those that are None: the script
    reads `args.NAME`, and an absent one is nil. JSON numbers arrive as doubles, so integers are
    exact up to 2**53. `payloads` are large texts, sent as plain entries after the object so that
    they are not escaped twice. With `pipe` the call is added to that pipeline. On an asyncio client
    the result is awaitable.
    """

    def __init__(self, client: "redis.Redis | redis.asyncio.Redis", name: str) -> None:
        self._script: Any = client.register_script(source(name, prefix_of(client)))
        #: A node counts the calls that it awaits in `turns.redis_calls`.
        self._counts = isinstance(client, redis.Redis)

    def __call__(self, *, payloads: Any = (), pipe: Any = None, **arguments: Any) -> Any:
        named = {name: value for name, value in arguments.items() if value is not None}
        if pipe is not None or not self._counts:
            return self._script(args=[_encode(named), *payloads], client=pipe)
        begun = time.monotonic()
        try:
            reply = self._script(args=[_encode(named), *payloads])
        except REDIS_ERRORS as exc:
            metrics.redis_failed(problem_of(exc).cause)
            raise
        metrics.redis_replied(time.monotonic() - begun)
        return reply


@cache
def source(name: str, prefix: str = "") -> str:
    """Return the whole text of a script: what it uses of the files that it includes, and itself.

    PREFIX is for keys of others, such as Celery's.
    """
    body = "".join(_read(part) for part in _included(name))
    constants = f"local VERSION, PREFIX = {VERSION}, '{prefix}'\n"
    return constants + with_keys(_without_unused(body), prefix)


@cache
def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()


def _without_unused(body: str) -> str:
    """Leave out each function that neither the rest calls nor a function that stays."""
    functions = {found[1]: found[0] for found in _FUNCTION.finditer(body)}
    used: set[str] = set()
    unread = [_FUNCTION.sub("", body)]
    while unread:
        called = functions.keys() & set(_words(unread.pop())) - used
        used |= called
        unread += (functions[name] for name in called)
    return _FUNCTION.sub(lambda found: found[0] if found[1] in used else "", body)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"--.*", "", text))


def _included(name: str) -> list[str]:
    """Return the files that make up a script, each once and after those it includes."""
    order: dict[str, None] = {}
    directive = _INCLUDE.match(_read(name))
    for part in directive.group(1).split(",") if directive else ():
        order |= dict.fromkeys(_included(part.strip()))
    return [*(part for part in order if part != name), name]
