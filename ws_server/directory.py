"""Which models can be asked for, and what each does when a request leaves something open.

Workers' heartbeats write it to Redis. A node reads it again when its copy is old or lacks a name,
so a turn costs no extra trip to Redis.
"""

import asyncio
import time
from dataclasses import dataclass

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import ModelNotFound

FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that requests may name."""

    name: str
    #: When its worker started, in seconds since 1970.
    created: int = 0
    #: Tokens of prompt and answer together that it takes at most; None before its first worker.
    context: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0


class Directory:
    """The models that are served, cached for a moment."""

    def __init__(
        self, turn_client: TurnClient, default: str, declared: tuple[str, ...] = ()
    ) -> None:
        self._turn_client = turn_client
        self._default = default
        #: Known before their first worker.
        self._declared = (default, *declared)
        self._models: dict[str, Model] = {}
        self._looked = -FRESH_SECONDS
        #: Held by the one who reads it: a burst of requests asks Redis once.
        self._looking = asyncio.Lock()

    async def find(self, name: str | None) -> Model:
        """Return the model of a name; None is the default one.

        Raises:
            ModelNotFound: it is not declared, and no worker has served it.
            Overloaded: Redis is unavailable.
        """
        wanted = name or self._default
        asked = time.monotonic()
        if asked - self._looked > FRESH_SECONDS or wanted not in self._models:
            async with self._looking:
                # Another may have looked while this one waited.
                if self._looked < asked:
                    await self._look()
        try:
            return self._models[wanted]
        except KeyError as exc:
            raise ModelNotFound(wanted) from exc

    async def all(self) -> list[Model]:
        """Return every model: the default one, which many clients take, then the others by name.

        Raises:
            Overloaded: Redis is unavailable.
        """
        await self._look()
        names = sorted(self._models, key=lambda name: (name != self._default, name))
        return [self._models[name] for name in names]

    async def _look(self) -> None:
        asked = time.monotonic()
        served = {
            name: Model(
                name=name,
                created=about["created"],
                context=about["context"],
                temperature=about["temperature"],
                top_p=about["top_p"],
            )
            for name, about in (await self._turn_client.models.all()).items()
        }
        self._models = {name: Model(name=name) for name in self._declared} | served
        self._looked = asked
