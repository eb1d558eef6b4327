"""clients/js as a package: its types, its README's examples, its size, and that it needs no DOM."""

import gzip
import re
from pathlib import Path

import pytest

from harness.service import ROOT, Service
from tests.programs import run

PACKAGE = ROOT / "clients" / "js"
#: Of all modules together, minified and compressed.
MOST_BYTES = 10 * 1000
COMPILER_OPTIONS = (
    *("--strict", "--noEmit", "--allowJs", "--checkJs", "--skipLibCheck"),
    *("--target", "es2022", "--module", "preserve", "--jsx", "react-jsx", "--types", "node"),
)


@pytest.fixture(scope="module")
def tools(node_modules: Path) -> Path:
    """Give the folder of the compilers' commands."""
    folder = PACKAGE / "node_modules" / ".bin"
    if not folder.exists():
        pytest.fail("`make test` installs them first")
    return folder


@pytest.fixture(scope="module")
def examples(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the README's examples into a folder where all packages are found."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "node_modules").mkdir()
    for target in (*tools.parent.iterdir(), PACKAGE):
        name = "turnstream" if target == PACKAGE else target.name
        (folder / "node_modules" / name).symlink_to(target, target_is_directory=True)
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    for number, (kind, text) in enumerate(re.findall(r"```(\w+)\n(.*?)```", readme, re.DOTALL)):
        (folder / f"example{number}.{'mjs' if kind == 'js' else kind}").write_text(text)
    return folder


def test_the_sources_have_the_types_that_are_published(tools: Path) -> None:
    assert run(tools / "tsc", "-p", PACKAGE) == ""


def test_the_readmes_examples_for_node_react_and_react_native_compile(
    tools: Path, examples: Path
) -> None:
    files = sorted(examples.glob("example*"))

    assert [file.suffix for file in files] == [".mjs", ".mjs", ".tsx", ".tsx"]
    types = ("--typeRoots", examples / "node_modules" / "@types")
    assert run(tools / "tsc", *COMPILER_OPTIONS, *types, *files) == ""


def test_the_readmes_first_example_prints_two_answers(service: Service, examples: Path) -> None:
    example = min(examples.glob("example*.mjs"))
    text = example.read_text().replace("https://chat.example.org", service.url).replace("…", "any")
    program = example.with_name("run.mjs")
    program.write_text(text)

    if int(run("node", "--version").removeprefix("v").partition(".")[0]) < 20:
        pytest.skip("the example needs Node 20 or later")
    # Node 20 has the WebSocket of later releases as an experiment.
    said = run("node", "--experimental-websocket", "--no-warnings", program)

    assert "Titanic" in said
    assert "completed" in said
    assert "Cameron" in said


def test_all_modules_together_are_small(tools: Path, tmp_path: Path) -> None:
    sources = sorted((PACKAGE / "src").glob("*.js"))
    minify = (tools / "esbuild", "--minify", "--format=esm", "--log-level=error")
    run(*minify, f"--outdir={tmp_path}", *sources)

    minified = b"".join((tmp_path / source.name).read_bytes() for source in sources)

    assert len(gzip.compress(minified, mtime=0)) <= MOST_BYTES


def test_what_react_native_loads_has_no_import_meta(tools: Path) -> None:
    bundle = run(tools / "esbuild", "--bundle", "--format=esm", PACKAGE / "src" / "index.js")

    assert "function connect(" in bundle
    assert "import.meta" not in bundle


def test_a_client_without_a_websocket_says_what_to_pass(examples: Path) -> None:
    program = examples / "without.mjs"
    program.write_text(
        'import { connect } from "turnstream";\n'
        "delete globalThis.WebSocket;\n"
        "try {\n"
        '  connect({ url: "http://127.0.0.1" });\n'
        "} catch (error) {\n"
        "  console.log(error.message);\n"
        "}\n"
    )

    assert "package ws" in run("node", program)
