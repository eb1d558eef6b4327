"""`turnstream up`: Redis, workers and the front end on this machine, until a signal stops it.

The data directory is locked before the port is checked, so that a second `up` reports the first one
and not its port. Redis starts first and ends last.
"""

import asyncio
import os
import sys
from collections.abc import Mapping

from turnstream.cli.child import Command, Groups
from turnstream.cli.console import BAD_SETTING, announce, log
from turnstream.cli.data_dir import DataDirInUse, DataDirUnusable, locked
from turnstream.cli.front_ends import TURNSTREAM, child_environ, free_to_listen, front_ends
from turnstream.cli.memory import redis_share
from turnstream.cli.readiness import readiness_problem, wait_for_redis
from turnstream.cli.redis_server import NoRedis, PrivateRedis, find_program
from turnstream.cli.supervisor import GiveUp, keep_running
from turnstream.cli.until_signal import until_signal
from turnstream.cli.up_settings import UpSettings
from turnstream.turns.model_name import served_name
from turnstream.turns.redis_problem import RedisProblem
from turnstream.turns.redis_version import version_warning

#: Interval of readiness checks, and of log lines while the service is not ready.
CHECK_SECONDS = 0.2
PROGRESS_SECONDS = 10.0
#: Longest wait for Redis to answer, not counting the time in which it loads its files.
REDIS_SECONDS = 15.0


def run() -> int:
    """Run `turnstream up` with the settings of the environment; return the exit code."""
    settings = UpSettings.read(os.environ)
    try:
        with locked(settings.data_dir.resolve()) as lock:
            port = free_to_listen(settings.host, settings.port)
            check_settings({**os.environ, "TURNSTREAM_PORT": str(port)})
            return asyncio.run(Up(settings, port, Groups(lock)).run())
    except (DataDirInUse, NoRedis, GiveUp) as exc:
        print(f"turnstream up: {exc}", file=sys.stderr)
        return exc.code if isinstance(exc, GiveUp) else 1
    except DataDirUnusable as exc:
        print(f"turnstream up: {exc}", file=sys.stderr)
        return BAD_SETTING


def check_settings(environ: Mapping[str, str]) -> None:
    """Read the settings of front end and workers, so that `up` fails before anything starts.

    Raises:
        SettingError: naming the variable and what is wrong with it.
    """
    from turnstream.workers.settings import WorkerSettings
    from turnstream.ws_server.settings import ServerSettings

    ServerSettings.read(environ)
    WorkerSettings.read(environ)


class Up:
    """One run of `turnstream up`."""

    def __init__(self, settings: UpSettings, port: int, groups: Groups) -> None:
        self.settings = settings
        self.port = port
        self.groups = groups
        #: The names of the models, where the settings may be paths.
        self.models = tuple(map(served_name, settings.models))

    async def run(self) -> int:
        """Serve until a signal; a second signal kills all processes at once.

        Raises:
            NoRedis: there is no Redis server program to start.
            GiveUp: a process cannot run.
        """
        await until_signal(self.serve(), self.groups)
        return 0

    async def serve(self) -> None:
        """Start Redis and then the rest; cancelling ends them in the opposite order."""
        async with asyncio.TaskGroup() as redis_tasks:
            url = self.settings.redis_url
            if url is None:
                url = await self.start_redis(redis_tasks)
            else:
                await self.check_redis(url)
            async with asyncio.TaskGroup() as tasks:
                for command in self.commands(url):
                    tasks.create_task(keep_running(command, self.groups))
                await self.wait_until_ready()

    async def start_redis(self, tasks: asyncio.TaskGroup) -> str:
        """Start a private Redis and wait until it answers; return its URL."""
        directory = self.settings.data_dir.resolve() / "redis"
        program = await asyncio.to_thread(find_program)
        memory = self.settings.redis_memory or redis_share()
        private = PrivateRedis.prepare(program, directory, memory=memory, other_than=self.port)
        log(
            "turnstream",
            f"redis: {program.path} {program.version} on port {private.port}, data in {directory},"
            f" {memory} bytes at most",
        )
        if warning := version_warning(program.name, program.version):
            log("turnstream", warning)
        tasks.create_task(
            keep_running(Command(name="redis", argv=private.argv, environ={}), self.groups)
        )
        problem = await self.redis_problem(private.url)
        if problem is not None:
            raise GiveUp(f"{problem.summary}; {private.log}: {private.last_line()}")
        return private.url

    async def check_redis(self, url: str) -> None:
        """Wait for the Redis of the settings.

        Raises:
            GiveUp: it can't be reached, or does not let us in. One that only refuses writes is
                logged: it may take them again while the service runs.
        """
        problem = await self.redis_problem(url)
        if problem is None:
            return
        if not problem.cause.refuses_writes_only:
            code = BAD_SETTING if problem.cause.is_setting else 1
            raise GiveUp(f"Redis can't be used: {problem}", code=code)
        log("turnstream", f"Redis can't be used yet: {problem}")

    async def redis_problem(self, url: str) -> RedisProblem | None:
        """Wait for Redis; return why it can't be used."""
        prefix = self.settings.key_prefix
        return await wait_for_redis(url, self.models[0], REDIS_SECONDS, key_prefix=prefix)

    def commands(self, redis_url: str) -> list[Command]:
        """Return the commands to run beside Redis."""
        settings = self.settings
        environ = {
            **child_environ(os.environ),
            "TURNSTREAM_REDIS_URL": redis_url,
            "TURNSTREAM_HOST": settings.host,
            "TURNSTREAM_PORT": str(self.port),
            "TURNSTREAM_MODEL": settings.models[0],
            "TURNSTREAM_FILES": settings.files,
        }
        commands = list(front_ends(environ, processes=settings.processes, port=self.port))
        # With a fixed index a worker that is started again has its name at once.
        fixed = settings.redis_url is None or settings.first_worker is not None
        index = settings.first_worker or 0
        # They have the same device.
        share = max(100 // (settings.workers * len(settings.models)), 1)
        memory = environ.get("TURNSTREAM_MEMORY_SHARE", "").strip() or str(share)
        metrics_port = settings.worker_metrics_port
        for model in settings.models:
            log(
                "turnstream",
                f"starting {settings.workers} worker(s) with model {model}, from worker-{index} on",
            )
            for _ in range(settings.workers):
                own = {
                    "TURNSTREAM_MODEL": model,
                    "TURNSTREAM_WORKER_INDEX": str(index) if fixed else "",
                    "TURNSTREAM_MEMORY_SHARE": memory,
                    "TURNSTREAM_WORKER_METRICS_PORT": str(metrics_port),
                }
                commands.append(
                    Command(
                        name=f"worker-{index}",
                        argv=(*TURNSTREAM, "worker"),
                        environ={**environ, **own},
                    )
                )
                index += 1
                metrics_port += bool(metrics_port)
        return commands

    async def wait_until_ready(self) -> None:
        """Print the `ready` line once each model can answer a turn."""
        loop = asyncio.get_running_loop()
        started = reported = loop.time()
        for model in self.models:
            while problem := await readiness_problem(self.settings.host, self.port, model):
                if loop.time() - reported >= PROGRESS_SECONDS:
                    reported = loop.time()
                    log("turnstream", f"not ready after {reported - started:.0f} s: {problem}")
                await asyncio.sleep(CHECK_SECONDS)
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        announce(f"ready http://{host}:{self.port}")
