"""The user of docs/redis.md may use what is used, and nothing else."""

import re

from harness.service import ROOT
from tests.faults.own_redis import documented_user
from turnstream.turns.prefixed_clients import ALL_KEYS, NO_KEY, ONE_KEY

#: What redis-py and Celery send on top of the commands of ours.
REDIS_PY = {
    "MULTI",
    "EXEC",
    "SELECT",
    "WATCH",
    "UNWATCH",
    "DISCARD",
    "SCRIPT|LOAD",
    "SCRIPT|EXISTS",
}
CELERY = {
    *("BRPOP", "RPOP", "LPUSH", "RPUSH", "LLEN", "PEXPIRE"),
    *("HSET", "HGET", "HDEL", "ZADD", "ZREM", "ZREVRANGEBYSCORE", "SADD", "SREM", "SMEMBERS"),
}
#: Only a client without a prefix migrates what old releases stored.
MIGRATION = {"SCAN"}


def test_the_documented_user_has_exactly_the_commands_that_are_used() -> None:
    scripts = (ROOT / "turns" / "lua_scripts").glob("*.lua")
    text = "".join(script.read_text(encoding="utf-8") for script in scripts)
    in_scripts = set(re.findall(r"redis\.call\('([A-Z]+)", text))
    assert re.findall(r"redis\.call\((?!'[A-Z]+')", text) == []
    assert re.findall(r"'MEMORY', (?!'USAGE')", text) == []
    ours = in_scripts | ONE_KEY | ALL_KEYS | NO_KEY | {"BLPOP", "MEMORY|USAGE"}

    permitted = re.findall(r" \+(\S+)", documented_user("x"))
    needed = (ours - {"MEMORY", "SCRIPT"}) | REDIS_PY | CELERY | MIGRATION
    assert set(map(str.upper, permitted)) == needed
    assert permitted == sorted(permitted)
