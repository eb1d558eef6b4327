"""The README's examples and the links of all pages are right."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("language", "comment", "example"),
    [("python", '"""', "first_turn.py"), ("js", "//", "first_turn.mjs")],
)
def test_an_example_in_the_readme_is_the_file_beside_it(
    language: str, comment: str, example: str
) -> None:
    [block] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)

    first, rest = (ROOT / "examples" / example).read_text(encoding="utf-8").split("\n", 1)

    assert first.startswith(comment)
    assert block == rest.lstrip("\n")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
def test_every_link_resolves(page: str | Path) -> None:
    file = ROOT / page
    text = file.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text)

    for link in map("".join, links):
        if not link.startswith(("http", "#")):
            assert (file.parent / link.split("#")[0]).exists(), link
