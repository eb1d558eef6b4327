"""A Redis that runs and takes no turns: said in words, not ready, and over when it is over.

All of it with a user that has the permissions of docs/redis.md and no more.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.ports import free_port
from harness.redis_server import RedisServer
from harness.service import ROOT
from harness.tls import TlsProxy
from tests.faults.conftest import SABOTEUR
from tests.faults.own_redis import Program, asked, documented_user, eventually, running

PASSWORD = "a-secret-word"
QUESTION = {"input": "Do you know the movie Titanic?", "max_output_tokens": 8}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusing")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[RedisServer]:
    with RedisServer(directory) as server:
        yield server


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def programs(server: RedisServer, directory: Path, port: int) -> Iterator[tuple[Program, Program]]:
    """A front end and a worker, started when Redis does not know their user yet.

    The worker, Celery in it, speaks TLS with a certificate that it is told to trust.
    """
    login = f"turnstream:{PASSWORD}@"
    with TlsProxy(directory, server.port) as proxy, ExitStack() as stack:
        tls = f"rediss://{login}127.0.0.1:{proxy.port}/0?ssl_ca_certs={proxy.certificate}"
        node = stack.enter_context(
            running("serve", directory, server.url(login), TURNSTREAM_PORT=str(port))
        )
        worker = stack.enter_context(
            running(
                "worker",
                directory,
                tls,
                TURNSTREAM_DRAIN_SECONDS="0",
                # It leases its index; the name of the variable makes the sabotage possible.
                TURNSTREAM_WORKER_INDEX="",
                SABOTAGE=str(directory),
                PYTHONPATH=f"{SABOTEUR}:{ROOT}",
            )
        )
        for program in (node, worker):
            eventually(lambda program=program: program.says("refuses the user"), node, worker)
        server.admin.execute_command(*documented_user(PASSWORD).split())
        eventually(lambda: asked(f"http://127.0.0.1:{port}/readyz")[0] == 200, node, worker)
        yield node, worker


@pytest.fixture
def node(programs: tuple[Program, Program]) -> Program:
    return programs[0]


@pytest.fixture
def worker(programs: tuple[Program, Program]) -> Program:
    return programs[1]


@pytest.fixture
def url(port: int, node: Program, worker: Program) -> str:
    """The front end's URL, once it is ready."""
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: asked(f"{url}/readyz")[0] == 200, node, worker)
    return url


def test_a_user_with_the_documented_permissions_and_no_more_can_serve_everything(
    url: str, server: RedisServer
) -> None:
    status, answer = asked(f"{url}/v1/responses", QUESTION)
    again = QUESTION | {"previous_response_id": answer["id"]}

    assert (status, answer["status"]) == (200, "incomplete")
    assert asked(f"{url}/v1/responses/input_tokens", again)[0] == 200
    assert asked(f"{url}/v1/responses", again | {"background": True})[0] == 200
    assert asked(f"{url}/v1/models")[0] == 200
    # As read from Redis: clients of redis-py introduce themselves, which is not permitted.
    refused = [
        entry[entry.index("object") + 1] for entry in server.admin.execute_command("ACL", "LOG")
    ]
    assert set(refused) <= {"client", "client|setinfo", "auth", "AUTH"}, refused


def break_full(server: RedisServer, directory: Path) -> None:
    server.admin.config_set("maxmemory", "900kb")


def break_replicas(server: RedisServer, directory: Path) -> None:
    server.admin.config_set("min-replicas-to-write", 1)


def break_disk(server: RedisServer, directory: Path) -> None:
    # The name of its file is taken by a folder.
    (directory / "dump.rdb").mkdir()
    server.admin.config_set("save", "3600 1")
    server.admin.bgsave()
    deadline = time.monotonic() + 30
    while server.admin.info("persistence")["rdb_last_bgsave_status"] != "err":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def mend(server: RedisServer, directory: Path) -> None:
    if (directory / "dump.rdb").is_dir():
        (directory / "dump.rdb").rmdir()
    server.admin.config_set("maxmemory", 0)
    server.admin.config_set("min-replicas-to-write", 0)
    server.admin.config_set("save", "")


@pytest.mark.parametrize(
    ("cause", "break_it", "words"),
    [
        ("full", break_full, "Redis has no memory left"),
        ("too_few_replicas", break_replicas, "Redis has too few replicas"),
        ("cannot_persist", break_disk, "Redis can't write its file"),
    ],
)
def test_a_redis_that_takes_no_data_is_said_in_words_and_used_again_afterwards(
    url: str,
    server: RedisServer,
    directory: Path,
    node: Program,
    worker: Program,
    cause: str,
    break_it: Callable[[RedisServer, Path], None],
    words: str,
) -> None:
    break_it(server, directory)
    try:
        ready, health = asked(f"{url}/readyz")
        status, refused = asked(f"{url}/v1/responses", QUESTION)
        eventually(lambda: node.says(words) and worker.says(words), node, worker)
    finally:
        mend(server, directory)

    assert (ready, health["status"], health["cause"]) == (503, "no redis", cause)
    assert health["detail"].startswith(f"{words}")
    assert (status, refused["error"]["code"]) == (503, "overloaded")
    assert words in refused["error"]["message"]
    eventually(lambda: asked(f"{url}/readyz")[0] == 200, node, worker)
    assert asked(f"{url}/v1/responses", QUESTION)[0] == 200


def test_a_worker_whose_redis_became_a_replica_goes_on_when_there_is_a_primary_again(
    url: str, server: RedisServer, directory: Path, node: Program, worker: Program
) -> None:
    long = QUESTION | {"max_output_tokens": 600, "frequency_penalty": -2, "background": True}
    with RedisServer(directory) as other:
        other.admin.replicaof("127.0.0.1", str(server.port))
        until_synced(other)
        _, turn = asked(f"{url}/v1/responses", long)
        wait_until_it_runs(url, turn["id"], node, worker)
        wait_until_replicated(server)
        other.admin.replicaof("no", "one")
        server.admin.replicaof("127.0.0.1", str(other.port))
        until_synced(server)
        ready, health = asked(f"{url}/readyz")
        status, refused = asked(f"{url}/v1/responses", QUESTION)
        eventually(lambda: worker.says("read-only replica"), node, worker)
        server.admin.replicaof("no", "one")

    assert (ready, health["cause"]) == (503, "read_only")
    assert (status, refused["error"]["code"]) == (503, "overloaded")
    assert "read-only replica" in refused["error"]["message"]
    eventually(lambda: asked(f"{url}/readyz")[0] == 200, node, worker)
    eventually(lambda: ended(url, turn["id"]), node, worker)
    assert asked(f"{url}/v1/responses", QUESTION)[0] == 200
    # Wake-ups are received again too: this command is Celery's.
    commands = lambda: [client["cmd"] for client in server.admin.client_list()]  # noqa: E731
    eventually(lambda: "brpop" in commands(), node, worker)


def until_synced(replica: RedisServer) -> None:
    deadline = time.monotonic() + 30
    while replica.admin.info("replication")["master_link_status"] != "up":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_replicated(primary: RedisServer) -> None:
    """Wait until the replica has all that was written so far: replication is asynchronous."""
    primary.admin.incr("written-last")  # WAIT is for what its own connection wrote.
    assert primary.admin.wait(1, 30_000) == 1


def wait_until_it_runs(url: str, id: str, *programs: Program) -> None:
    eventually(lambda: asked(f"{url}/v1/responses/{id}")[1]["status"] == "in_progress", *programs)


def ended(url: str, id: str) -> bool:
    status, turn = asked(f"{url}/v1/responses/{id}")
    return status == 200 and turn["status"] in ("completed", "incomplete")


def test_a_user_without_the_keys_of_celery_is_not_permitted(
    url: str, server: RedisServer, directory: Path, node: Program
) -> None:
    rule = f"ACL SETUSER tight reset on >{PASSWORD} resetchannels ~ts:* &ts:* +@all"
    server.admin.execute_command(*rule.split())
    tight = server.url(f"tight:{PASSWORD}@")
    other = free_port()
    with running("serve", directory, tight, TURNSTREAM_PORT=str(other)) as restricted:
        eventually(lambda: asked(f"http://127.0.0.1:{other}/readyz")[0] == 503, restricted)
        _, health = asked(f"http://127.0.0.1:{other}/readyz")
        eventually(lambda: restricted.says("ACL SETUSER"), restricted)

    assert health["cause"] == "not_permitted"
    # In Redis' own words, which differ by version.
    assert re.search(r"\(.*\bkeys?\b.*\)", health["detail"])
    assert "docs/redis.md" in health["detail"]


def test_a_worker_that_celery_gives_up_ends_with_a_code_and_no_log_has_the_password(
    url: str, server: RedisServer, directory: Path, node: Program, worker: Program
) -> None:
    (directory / "celery").touch()
    eventually(lambda: not (directory / "celery").exists(), worker)
    server.admin.lpush("turns.demo.w0", "a message that it fails on")

    assert worker.process.wait(timeout=30) == 1
    assert worker.says("Unrecoverable error")
    assert not any(PASSWORD in program.log.read_text() for program in (node, worker))
