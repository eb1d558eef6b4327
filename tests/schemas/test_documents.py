"""The published documents say what the code says, and are well made."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from harness.service import ROOT
from scripts.schemas.__main__ import written
from tests.schemas.published import ASYNCAPI, OPENAPI
from turnstream.ws_server import requests
from turnstream.ws_server.app import create_app
from turnstream.ws_server.settings import ServerSettings

DOCUMENTS = {"openapi": OPENAPI, "asyncapi": ASYNCAPI}
#: Served, and not published: the page, the document itself, and what Prometheus reads.
PAGES = {"/", "/static/{path:path}", "/openapi.json", "/metrics"}


def test_generating_the_documents_again_changes_nothing() -> None:
    for file, text in written().items():
        assert file.read_text(encoding="utf-8") == text, "run python -m scripts.schemas"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_schema_is_valid_and_every_reference_resolves(name: str) -> None:
    document = DOCUMENTS[name]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)

    targets = set(references(document))

    assert targets
    for target in targets:
        found: Any = document
        for step in target.removeprefix("#/").split("/"):
            found = found[step]


def references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(target)}:
            yield target
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def test_every_path_that_is_served_is_published_and_no_other() -> None:
    settings = ServerSettings.read({"TURNSTREAM_REDIS_URL": "redis://127.0.0.1:1"})
    served = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in create_app(settings).routes
        if isinstance(route, Route) and route.path not in PAGES
        for method in route.methods or ()
        if method != "HEAD"
    }

    published = {(path, verb) for path, verbs in OPENAPI["paths"].items() for verb in verbs}

    assert served == published


@pytest.mark.parametrize("kind", [requests.ResponseBody, requests.CompletionBody])
def test_a_body_is_published_with_just_the_fields_that_are_decoded(kind: Any) -> None:
    published = OPENAPI["components"]["schemas"][kind.__name__]["properties"]

    assert set(published) == set(kind.__struct_fields__)


@pytest.mark.parametrize("kind", requests.FRAMES)
def test_a_frame_is_published_with_just_the_fields_that_are_decoded(kind: Any) -> None:
    published = ASYNCAPI["components"]["schemas"][kind.__name__]["properties"]

    assert set(published) == {"type", *kind.__struct_fields__}


def test_a_published_message_may_leave_out_its_type() -> None:
    assert set(OPENAPI["components"]["schemas"]["Message"]["required"]) == {"role"}


def test_every_code_of_an_error_is_in_the_table_of_the_docs() -> None:
    docs = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "docs").glob("*.md"))
    rows = re.findall(r"^\|([^|]+)\| \d{3}", docs, re.MULTILINE)
    told = set(re.findall(r"`([a-z_]+)`", "".join(rows)))
    sources = [
        file
        for room in ("turns", "ws_server")
        for file in (ROOT / room).rglob("*.py")
        # What is wrong with a line of a batch is told in its file, with no status.
        if file.name not in ("line_reader.py", "request.py", "validation.py")
    ]
    code = re.compile(r'\bcode(?:: str)?(?: = |=|": )"([a-z_]+)"')

    raised = {name for file in sources for name in code.findall(file.read_text(encoding="utf-8"))}

    assert len(raised) > 20
    assert raised - told == set()
