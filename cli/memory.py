"""How much memory this machine has, for the private Redis's share of it."""

import os
from contextlib import suppress
from pathlib import Path

#: One part in so many of the memory is Redis's: it doubles for a moment when it rewrites its file,
#: and the model needs most of the rest.
SHARE = 4
#: Also a small machine gives Redis this much.
LEAST = 256 * 1024 * 1024
#: Where Linux says what a container may use, by version of control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def redis_share() -> int:
    """Return the bytes that the private Redis may have, unless it is set."""
    return max(machine_memory() // SHARE, LEAST)


def machine_memory() -> int:
    """Return this machine's bytes of memory, or its container's; 0 if that is not known."""
    limits = [limit for path in _LIMITS if (limit := _limit(Path(path)))]
    with suppress(OSError, ValueError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=0)


def _limit(path: Path) -> int | None:
    try:
        # The word `max` is no limit.
        return int(path.read_text())
    except (OSError, ValueError):
        return None
