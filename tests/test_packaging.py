"""What is shipped is whole: packages, pins and the compose file say what the tree says."""

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from redis import Redis
from redis.exceptions import RedisError

from harness.ports import free_port
from turnstream.cli.redis_server import find_program
from turnstream.workers.settings import WORKER_METRICS_PORT

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("cli", "client", "prompts", "turns", "workers", "ws_server")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_shipped() -> None:
    packages = {
        ".".join(("turnstream", *file.parent.relative_to(ROOT).parts))
        for room in ROOMS
        for file in (ROOT / room).rglob("__init__.py")
    }

    assert packages | {"turnstream"} == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_folder_with_data_is_shipped() -> None:
    shipped = {
        (package.removeprefix("turnstream."), pattern.partition("/")[0])
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
    }
    with_data = {
        (room, file.relative_to(ROOT / room).parts[0])
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }

    assert with_data <= shipped


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines if "==" in line}
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["gguf"],
        *PROJECT["project"]["optional-dependencies"]["worker"],
        *PROJECT["project"]["optional-dependencies"]["dev"],
    ]

    assert {normal(re.match(r"[\w.-]+", line)[0]) for line in wanted} <= pinned


def test_the_sdk_of_the_tests_is_the_sdk_of_the_examples() -> None:
    def pin(file: str) -> list[str]:
        lines = (ROOT / file).read_text().splitlines()
        return [line for line in lines if line.startswith("openai==")]

    assert pin("constraints.txt") == pin("examples/requirements.txt") != []


def test_prompts_imports_the_standard_library_and_itself_only() -> None:
    imported = set()
    for file in (ROOT / "prompts").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.removeprefix("turnstream.").partition(".")[0])

    assert imported <= {"prompts", *sys.stdlib_module_names}


@pytest.fixture
def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_compose_persists_the_data_of_redis(compose: dict) -> None:
    options = compose["services"]["redis"]["command"]

    assert options[options.index("--appendonly") + 1] == "yes"
    assert options[options.index("--maxmemory-policy") + 1] == "noeviction"
    assert options[options.index("--maxmemory") + 1] == "${TURNSTREAM_REDIS_MEMORY:-2gb}"


def test_compose_listens_to_this_machine_only_without_keys(compose: dict) -> None:
    environment = compose["services"]["web"]["environment"]

    assert environment["TURNSTREAM_HOST"] == "0.0.0.0"
    assert environment["TURNSTREAM_API_KEYS"].startswith("${TURNSTREAM_API_KEYS:?")


def test_compose_starts_no_redis_without_a_password(compose: dict) -> None:
    services = compose["services"]
    for name in ("redis", "redis-replica"):
        options = services[name]["command"]
        required = options[options.index("--requirepass") + 1]
        assert required.startswith("${TURNSTREAM_REDIS_PASSWORD:?")
        # Either may have to be the other's replica.
        assert options[options.index("--masterauth") + 1] == "${TURNSTREAM_REDIS_PASSWORD}"
        assert options[options.index("--replica-announce-ip") + 1] == name
    urls = [
        service["environment"]["TURNSTREAM_REDIS_URL"]
        for service in services.values()
        if "build" in service
    ]
    assert len(urls) == 4
    default = "${TURNSTREAM_REDIS_URL:-redis://:${TURNSTREAM_REDIS_PASSWORD:?"
    assert all(url.startswith(default) for url in urls)


def test_compose_runs_our_containers_without_rights(compose: dict) -> None:
    for service in compose["services"].values():
        if "build" in service:
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
            assert "/tmp" in service["tmpfs"]


def test_the_sentinels_of_compose_start_as_they_are_configured(
    compose: dict, tmp_path: Path
) -> None:
    script = compose["services"]["sentinel-1"]["command"][2].replace("$$", "$")
    port = free_port()
    for before, after in (
        ("/tmp", str(tmp_path)),
        ("26379", str(port)),
        ("monitor turnstream redis ", "monitor turnstream localhost "),
        ("exec redis-server", f"exec {find_program().path}"),
    ):
        script = script.replace(before, after)
    environ = {"HOSTNAME": "localhost", "REDISCLI_AUTH": "secret", "PATH": os.environ["PATH"]}
    process = subprocess.Popen(["sh", "-c", script], env=environ, stdout=subprocess.PIPE)
    try:
        with Redis(port=port, protocol=2, decode_responses=True) as sentinel:
            deadline = time.monotonic() + 20
            while True:
                try:
                    masters = sentinel.sentinel_masters()
                    break
                except RedisError:
                    assert time.monotonic() < deadline
                    assert process.poll() is None, process.stdout and process.stdout.read()
                    time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()
    assert list(masters) == ["turnstream"]


def test_compose_lets_workers_be_scaled(compose: dict) -> None:
    workers = [s for s in compose["services"].values() if s.get("command") == ["worker"]]

    assert len(workers) == 3
    assert not any("TURNSTREAM_WORKER_INDEX" in worker["environment"] for worker in workers)


def test_compose_starts_prometheus_and_grafana_only_to_observe_and_for_this_machine_only(
    compose: dict,
) -> None:
    for name in ("prometheus", "grafana"):
        service = compose["services"][name]
        assert service["profiles"] == ["observe"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        sources = [volume.split(":")[0] for volume in service["volumes"]]
        assert all((ROOT / source).exists() for source in sources if source.startswith("./"))


def test_compose_lets_prometheus_read_the_ports_that_nodes_and_workers_answer_at(
    compose: dict,
) -> None:
    scraped = yaml.safe_load((ROOT / "docs/grafana/prometheus.yml").read_text())["scrape_configs"]
    [nodes], [workers] = (config["dns_sd_configs"] for config in scraped)
    services = compose["services"]

    assert nodes["names"] == ["web"]
    assert str(nodes["port"]) == services["web"]["environment"]["TURNSTREAM_METRICS_PORT"]
    assert set(workers["names"]) == {name for name in services if name.startswith("worker")}
    assert workers["port"] == WORKER_METRICS_PORT.default
    for name in (*nodes["names"], *workers["names"]):
        assert services[name]["environment"]["TURNSTREAM_METRICS_HOST"] == "0.0.0.0"


def test_compose_builds_a_target_of_the_dockerfile(compose: dict) -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    for service in compose["services"].values():
        assert "image" in service or service["build"]["target"] in targets
