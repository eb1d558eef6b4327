"""What is shipped is whole: packages, pins and the compose file say what the tree says."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from turnstream.workers.settings import WORKER_METRICS_PORT

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("cli", "prompts", "turns", "workers", "ws_server")


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
    redis = compose["services"]["redis"]
    options = redis["command"]

    assert options[options.index("--requirepass") + 1].startswith("${TURNSTREAM_REDIS_PASSWORD:?")
    for name, service in compose["services"].items():
        if "build" in service:
            url = service["environment"]["TURNSTREAM_REDIS_URL"]
            assert url.startswith("redis://:${TURNSTREAM_REDIS_PASSWORD:?"), name


def test_compose_gives_no_two_workers_one_index(compose: dict) -> None:
    indexes = [
        service["environment"]["TURNSTREAM_WORKER_INDEX"]
        for service in compose["services"].values()
        if service.get("command") == ["worker"]
    ]

    assert len(indexes) == len(set(indexes)) == 2


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
