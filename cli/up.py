"""`turnstream up`: Redis, workers and the front end on this machine, until it is told to stop.

Order matters twice. The lock on the data directory comes before the port, so that a second `up` is
told about the first one and not about its port; and Redis starts first and ends last.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from turnstream.cli.child import Command, Groups
from turnstream.cli.console import announce, say
from turnstream.cli.data_dir import DataDirInUse, DataDirUnusable, default_data_dir, held
from turnstream.cli.exit_code import BAD_SETTING
from turnstream.cli.readiness import answers_turns, redis_answers
from turnstream.cli.redis_server import NoRedis, PrivateRedis, find_program
from turnstream.cli.supervisor import GiveUp, keep
from turnstream.turns.environment import Setting, read_all, whole
from turnstream.turns.settings import MODEL, REDIS_URL, blob_store
from turnstream.workers.settings import WORKER_INDEX
from turnstream.ws_server.settings import FILES, HOST, PORT

#: How often to look whether a turn can be answered, and how often to say that it can't yet.
LOOK_SECONDS = 0.2
PROGRESS_SECONDS = 10.0
#: How long a Redis may take to answer; one that is reading its files may take longer.
REDIS_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """Settings of `turnstream up` itself; its children read the others."""

    data_dir: Path = Setting(
        "DATA_DIR",
        lambda value: Path(value).expanduser(),
        None,
        "where `turnstream up` keeps its private Redis; `$XDG_DATA_HOME/turnstream` if that is set",
        shown="`~/.local/share/turnstream`",
    ).field()
    workers: int = Setting(
        "WORKERS", whole(1, 64), 1, "worker processes that `turnstream up` starts"
    ).field()
    host: str = HOST.field()
    #: 0 takes any free port.
    port: int = replace(PORT, form=whole(0, 65535)).field()
    model: str = MODEL.field()
    #: The index of the first worker; the others follow it.
    first_worker: int = WORKER_INDEX.field()
    #: Where the front end keeps files.
    files: str = replace(FILES, default="").field()
    #: None: a private Redis.
    redis_url: str | None = replace(REDIS_URL, default=None).field()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "UpSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        values = read_all(cls, environ)
        values["data_dir"] = values["data_dir"] or default_data_dir(environ)
        values["files"] = values["files"] or blob_store(str(values["data_dir"] / "files"))
        return cls(**values)


def run() -> int:
    """Run it with the settings of the environment and return its exit code."""
    settings = UpSettings.read(os.environ)
    try:
        with held(settings.data_dir.resolve()) as lock:
            port = free_to_listen(settings.host, settings.port)
            check_rooms({**os.environ, "TURNSTREAM_PORT": str(port)})
            return asyncio.run(Up(settings, port, Groups(lock)).run())
    except (DataDirInUse, NoRedis, GiveUp) as exc:
        print(f"turnstream up: {exc}", file=sys.stderr)
        return exc.code if isinstance(exc, GiveUp) else 1
    except DataDirUnusable as exc:
        print(f"turnstream up: {exc}", file=sys.stderr)
        return BAD_SETTING


def check_rooms(environ: Mapping[str, str]) -> None:
    """Read the settings of the rooms, so that a wrong one ends `up` before anything starts.

    Raises:
        SettingError: naming the variable and what is wrong with it.
    """
    from turnstream.workers.settings import WorkerSettings
    from turnstream.ws_server.settings import ServerSettings

    ServerSettings.read(environ)
    WorkerSettings.read(environ)


def free_to_listen(host: str, port: int) -> int:
    """Return the port if nobody listens on it; 0 gives one that is free.

    Raises:
        GiveUp: somebody listens, or this machine has no such address.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as exc:
        raise GiveUp(f"--host {host}: {exc.strerror}", code=BAD_SETTING) from exc
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as exc:
            raise GiveUp(f"cannot listen on {host} port {port}: {exc.strerror}") from exc
        found: int = probe.getsockname()[1]
        return found


class Up:
    """One run of `turnstream up`."""

    def __init__(self, settings: UpSettings, port: int, groups: Groups) -> None:
        self.settings = settings
        self.port = port
        self.groups = groups

    async def run(self) -> int:
        """Serve until a signal says stop; a second one does not wait for anything.

        Raises:
            NoRedis: there is none, and none can be started.
            GiveUp: something will not run, however often it is started.
        """
        this = asyncio.current_task()
        assert this is not None
        stopping = False

        def stop() -> None:
            nonlocal stopping
            if stopping:
                return self.groups.kill()
            stopping = True
            say("turnstream", "stopping; once more to stop at once")
            this.cancel()
            return None

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        try:
            await self.serve()
        except asyncio.CancelledError:
            if not stopping:
                raise
            say("turnstream", "stopped")
        except BaseExceptionGroup as group:
            raise first_of(group) from None
        return 0

    async def serve(self) -> None:
        """Start everything in order; cancelling ends it in the opposite order."""
        async with asyncio.TaskGroup() as store:
            url = self.settings.redis_url
            if url is None:
                url = await self.start_redis(store)
            elif not await redis_answers(url, REDIS_SECONDS):
                raise GiveUp("TURNSTREAM_REDIS_URL: no Redis answers there")
            async with asyncio.TaskGroup() as rooms:
                for command in self.commands(url):
                    rooms.create_task(keep(command, self.groups))
                await self.wait_until_ready()

    async def start_redis(self, tasks: asyncio.TaskGroup) -> str:
        """Start a private Redis and wait until it answers; returns its URL."""
        directory = self.settings.data_dir.resolve() / "redis"
        program = await asyncio.to_thread(find_program)
        private = PrivateRedis.prepare(program, directory)
        say(
            "turnstream",
            f"redis: {program.path} {program.version} on port {private.port}, data in {directory}",
        )
        tasks.create_task(keep(Command(name="redis", argv=private.argv, environ={}), self.groups))
        if not await redis_answers(private.url, REDIS_SECONDS):
            raise GiveUp(f"redis does not answer; {private.log}: {private.last_words()}")
        return private.url

    def commands(self, redis_url: str) -> list[Command]:
        """Say what to run beside Redis."""
        settings = self.settings
        environ = {
            **from_source(os.environ),
            "TURNSTREAM_REDIS_URL": redis_url,
            "TURNSTREAM_HOST": settings.host,
            "TURNSTREAM_PORT": str(self.port),
            "TURNSTREAM_MODEL": settings.model,
            "TURNSTREAM_FILES": settings.files,
            # Lines appear when they are written, not when a buffer is full.
            "PYTHONUNBUFFERED": "1",
        }
        python = (sys.executable, "-P", "-m", "turnstream")
        say(
            "turnstream",
            f"starting the front end and {settings.workers} worker(s), {settings.model}",
        )
        return [
            Command(name="front-end", argv=(*python, "serve"), environ=environ),
            *(
                Command(
                    name=f"worker-{index}",
                    argv=(*python, "worker"),
                    environ={**environ, "TURNSTREAM_WORKER_INDEX": str(index)},
                )
                for index in range(settings.first_worker, settings.first_worker + settings.workers)
            ),
        ]

    async def wait_until_ready(self) -> None:
        """Print the ready line once a turn can really be answered."""
        loop = asyncio.get_running_loop()
        started = said = loop.time()
        while (problem := await answers_turns(self.settings.host, self.port)) is not None:
            if loop.time() - said >= PROGRESS_SECONDS:
                said = loop.time()
                say("turnstream", f"not ready after {said - started:.0f} s: {problem}")
            await asyncio.sleep(LOOK_SECONDS)
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        announce(f"ready http://{host}:{self.port}")


def from_source(environ: Mapping[str, str]) -> dict[str, str]:
    """Let children find a source tree, which need not be installed; they are run with -P, which
    keeps the folder we are in off their path."""
    source = Path(__file__).parents[2]
    if not (source / "pyproject.toml").is_file():
        return dict(environ)
    path = os.pathsep.join(filter(None, [str(source), environ.get("PYTHONPATH")]))
    return {**environ, "PYTHONPATH": path}


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group; a reason to give up before all others."""
    mine, others = group.split(GiveUp)
    exc: BaseException = mine or others or group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc
