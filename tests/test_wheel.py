"""The wheel claims one import name, and works beside folders that are called like our rooms."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("cli", "client", "prompts", "turns", "workers", "ws_server")
#: Building copies the tree, and its demo model, twice.
BUILD_SECONDS = 300
TURNSTREAM = (sys.executable, "-P", "-m", "turnstream")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *ROOMS, "turnstream", "clients"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not tracked:
        pytest.skip("the tree is not a git checkout, so a build could pick up stray files")
    for name in (*tracked, "pyproject.toml", "README.md", "LICENSE"):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to((ROOT / name).readlink())
        elif (ROOT / name).exists():
            target.write_bytes((ROOT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel")
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)],
        check=True,
        timeout=BUILD_SECONDS,
    )
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_claims_turnstream_and_no_other_import_name(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in names if not name.endswith(".dist-info")} == {"turnstream"}


def test_the_wheel_has_everything_that_is_not_python_too(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())

    for name in (
        "turnstream/py.typed",
        "turnstream/turns/lua_scripts/submit.lua",
        "turnstream/workers/demo/model.safetensors",
        "turnstream/workers/engines/decode_op.cpp",
        "turnstream/ws_server/openapi.json",
        "turnstream/ws_server/static/index.html",
        "turnstream/ws_server/static/turnstream/index.js",
        "turnstream/ws_server/static/vendor/marked.LICENSE",
    ):
        assert name in shipped


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Unpack the wheel and put hostile folders before it on the path."""
    site, hostile = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("hostile")
    zipfile.ZipFile(wheel).extractall(site)
    for room in ROOMS:
        (hostile / room).mkdir()
        (hostile / room / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    kept = {name: value for name, value in os.environ.items() if "TURNSTREAM" not in name}
    path = os.pathsep.join([str(hostile), str(site)])
    return {**kept, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def test_an_installed_command_runs_beside_foreign_packages_with_the_same_names(
    installed: dict[str, str],
) -> None:
    ended = subprocess.run(
        [*TURNSTREAM, "--version"],
        env=installed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("turnstream ")


def test_an_installed_service_answers_a_turn_beside_foreign_packages(
    installed: dict[str, str], tmp_path: Path
) -> None:
    request = (
        '{"custom_id": "one", "method": "POST", "url": "/v1/responses",'
        ' "body": {"input": "Hello!", "max_output_tokens": 8}}\n'
    )
    (tmp_path / "in.jsonl").write_text(request)
    ended = subprocess.run(
        [*TURNSTREAM, "bulk", "in.jsonl", "-o", "out.jsonl", "--local"],
        env={**installed, "XDG_DATA_HOME": str(tmp_path / "data")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert '"custom_id":"one"' in (tmp_path / "out.jsonl").read_text().replace(" ", "")
