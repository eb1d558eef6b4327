"""What is shipped is whole: packages, pins and the compose file say what the tree says."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

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
        url = service["environment"].get("TURNSTREAM_REDIS_URL")
        assert name == "redis" or url.startswith("redis://:${TURNSTREAM_REDIS_PASSWORD:?")


def test_compose_lets_workers_be_scaled(compose: dict) -> None:
    workers = [s for s in compose["services"].values() if s.get("command") == ["worker"]]

    assert len(workers) == 2
    assert not any("TURNSTREAM_WORKER_INDEX" in worker["environment"] for worker in workers)


def test_compose_builds_a_target_of_the_dockerfile(compose: dict) -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    for service in compose["services"].values():
        assert "image" in service or service["build"]["target"] in targets
