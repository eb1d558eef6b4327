"""Which versions of Redis and Valkey have known security faults, and since when they are mended.

A client that may run Lua can take over a server with CVE-2025-49844. Only nodes and workers run
scripts here, so an old version is a warning and not an error.
"""

import re
from collections.abc import Mapping

#: The first patched version of each release line, from the advisories of CVE-2025-49844, which also
#: has the mends of CVE-2024-31228, CVE-2024-46981 and CVE-2025-21605. Later lines began patched.
_PATCHED: Mapping[str, Mapping[tuple[int, int], int]] = {
    "Redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "Valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}


def version_warning(name: str, version: str) -> str | None:
    """Return a sentence about a server with known faults; None if it has none, or is unknown.

    Args:
        name: "Redis" or "Valkey".
        version: like "7.2.4".
    """
    numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+).*", version)
    patched = _PATCHED.get(name)
    if numbers is None or patched is None:
        return None
    major, minor, patch = map(int, numbers.groups())
    line = (major, minor)
    if line > max(patched) or patch >= patched.get(line, 1 << 30):
        return None
    # A line that got no mend is left for the next one that did.
    next_line = min((each for each in patched if each >= line), default=max(patched))
    fixed = f"{next_line[0]}.{next_line[1]}.{patched[next_line]}"
    return (
        f"{name} {version} has known security faults (CVE-2025-49844 and older): use {fixed} or"
        " later, unless your distribution has mended it"
    )


def server_of(info: Mapping[str, object]) -> tuple[str, str]:
    """Return name and version of a server from its `INFO server`.

    Valkey reports in `redis_version` only what it is compatible with.
    """
    if "valkey_version" in info:
        return "Valkey", str(info["valkey_version"])
    return "Redis", str(info.get("redis_version", ""))
