"""Leases an index to a worker, which names it: no other worker of its model has it meanwhile.

An index is used again, so that what is kept for each name, such as a queue of Celery, stays bounded
however often workers start.
"""

import os
import secrets
from socket import gethostname
from typing import cast

import redis

from turnstream.turns.lua import Script

#: A process that is killed has its index for so long, and the one that replaces it takes another.
#: Longer than anything for which a worker may not run, as when it loads its weights.
LEASE_SECONDS = 30.0


class WorkerIndex:
    """One worker's lease.

    Args:
        index: the only one to take, also from another worker; None: the lowest that is free.
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        model: str,
        index: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.fixed = index is not None
        #: None while there is no lease.
        self.index = index
        self._model = model
        self._holder = f"{gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._lease_ms = int(lease_seconds * 1000)
        self._script = Script(client, "worker_index")

    def take(self) -> int:
        """Take an index, and return it.

        Raises:
            redis.RedisError: Redis is away; call again.
        """
        self.index = self._call(self.index, take=self.fixed)
        return self.index

    def renew(self) -> bool:
        """Renew the lease; return False if another worker has the index.

        Raises:
            redis.RedisError: Redis is away; call again.
        """
        return self._call(self.index) != -1

    def release(self) -> None:
        """End the lease, unless another worker has the index.

        Raises:
            redis.RedisError: Redis is away; the lease lapses.
        """
        self._call(self.index, lease_ms=0)

    def _call(self, index: int | None, *, take: bool = False, lease_ms: int | None = None) -> int:
        reply = self._script(
            model=self._model,
            holder=self._holder,
            index=index,
            take=take,
            lease_ms=self._lease_ms if lease_ms is None else lease_ms,
        )
        return cast(int, reply)
