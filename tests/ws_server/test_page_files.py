"""What the page is made of: its files and their size, its policy, the installation's texts."""

import gzip
import hashlib
import posixpath
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.service import ROOT
from scripts.vendor import FOLDER, PACKAGES
from tests.conftest import private_redis
from tests.programs import run
from tests.ws_server.conftest import serving
from turnstream.turns.environment import read_all
from turnstream.ws_server.page import DEMO_EXAMPLES, EXAMPLES, PageSettings
from turnstream.ws_server.page_files import STATIC, read_files

MOST_BYTES = 64_000


def test_all_that_the_page_loads_is_at_most_64_kb() -> None:
    page = len(gzip.compress((STATIC / "index.html").read_bytes()))
    files = {name: len(file.compressed) for name, file in read_files().items()}
    for name in ("vendor/marked.LICENSE", "turnstream/index.js", "turnstream/storage.js"):
        del files[name]

    assert page + sum(files.values()) <= MOST_BYTES


def test_what_is_served_of_our_own_files_is_what_the_sources_say(
    node_modules: Path, tmp_path: Path
) -> None:
    own = {
        name: file.content for name, file in read_files().items() if name.endswith((".js", ".css"))
    }
    del own["vendor/marked.esm.js"]
    for name, content in own.items():
        for folder, text in (("served", content), ("source", (STATIC / name).read_bytes())):
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)

    minified = {folder: minify(tmp_path / folder, own) for folder in ("served", "source")}

    assert minified["served"] == minified["source"]
    assert sum(map(len, own.values())) < 0.8 * sum((STATIC / name).stat().st_size for name in own)


def minify(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return files as a compiler writes them; it keeps spaces of templates and variables."""
    esbuild = ROOT / "clients" / "js" / "node_modules" / ".bin" / "esbuild"
    out = folder / "out"
    options = ("--minify", "--log-level=error", f"--outdir={out}", f"--outbase={folder}")
    run(esbuild, *options, *(folder / name for name in names))
    texts = {name: re.sub(r"\s+", " ", (out / name).read_text()) for name in names}
    return {
        name: re.sub("(?<=[:,]) ", "", text) if name.endswith(".css") else text
        for name, text in texts.items()
    }


def test_the_vendored_files_are_those_that_were_read_and_their_licences_lie_beside_them() -> None:
    pinned = {file.name: file.sha256 for package in PACKAGES for file in package.files}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in FOLDER.iterdir()}

    assert found == pinned
    assert all(any("LICENSE" in file.name for file in each.files) for each in PACKAGES)


def test_no_module_writes_html_or_names_another_host() -> None:
    files = read_files()
    own = [name for name in files if name.endswith(".js") and not name.startswith("vendor/")]
    assert len(own) > 20
    for name in own:
        text = files[name].content.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text), name
        assert not re.search(r"""["'`]https?://""", text), name


def test_the_page_has_the_texts_of_its_installation_and_may_load_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    environ = {
        "TURNSTREAM_PAGE_TITLE": "Ask <us>",
        "TURNSTREAM_PAGE_WELCOME": 'Say "hello" & more',
        "TURNSTREAM_PAGE_EXAMPLES": "What is this? ; Who are you?",
    }
    with (
        private_redis(tmp_path) as redis_url,
        serving(redis_url, tmp_path, **environ) as url,
        urllib.request.urlopen(f"{url}/", timeout=30) as answer,
    ):
        policy = answer.headers["content-security-policy"]
        page = answer.read().decode()
        asked = urllib.request.Request(
            f"{url}/static/vendor/marked.esm.js", headers={"accept-encoding": "gzip"}
        )
        with urllib.request.urlopen(asked, timeout=30) as file:
            assert file.headers["content-encoding"] == "gzip"
            assert file.headers["cache-control"] == "no-cache"
            asked.add_header("if-none-match", file.headers["etag"])
        with pytest.raises(urllib.error.HTTPError, match="304"):
            urllib.request.urlopen(asked, timeout=30)

    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page)
    assert "<title>Ask &lt;us&gt;</title>" in page
    assert "Say &quot;hello&quot; &amp; more</h2>" in page
    assert re.findall(r'<button type="button" dir="auto">([^<]+)<', page) == [
        "What is this?",
        "Who are you?",
    ]
    preloaded = set(re.findall(r'modulepreload" href="static/([^"]+)"', page))
    assert preloaded == imported({"chat.js"})


def imported(modules: set[str]) -> set[str]:
    """Return modules and all that they import."""
    files = read_files()
    found = set(modules)
    for module in modules:
        for path in re.findall(r'^import[^"]*"([^"]+)";', (STATIC / module).read_text(), re.M):
            found.add(posixpath.normpath(posixpath.join(posixpath.dirname(module), path)))
    assert found <= files.keys()
    return found if found == modules else imported(found)


@pytest.mark.parametrize(
    ("value", "examples"),
    [("", None), (";", ()), ("One?", ("One?",)), (" One? ;; Two? ", ("One?", "Two?"))],
)
def test_examples_are_separated_by_semicolons(value: str, examples: tuple[str, ...] | None) -> None:
    settings = PageSettings(**read_all(PageSettings, {"TURNSTREAM_PAGE_EXAMPLES": value}))
    assert settings.examples == examples


def test_there_are_four_examples_for_the_demo_model_and_for_any() -> None:
    assert len(DEMO_EXAMPLES) == len(EXAMPLES) == 4
