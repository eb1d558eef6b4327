"""The page: its document, with the texts of this installation, and the files that it loads.

The document is made once, at start, and the files are read then: there is no build step.
"""

from dataclasses import dataclass
from html import escape
from string import Template

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from turnstream.turns.environment import Setting, text
from turnstream.ws_server.page_files import NOT_LOADED, STATIC, PageFile, read_files

#: Nothing is loaded from elsewhere, and the page talks to this host only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " worker-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
#: Of all files too: a worker has the policy of its own script.
_HEADERS = {"content-security-policy": POLICY}

#: What the demo model has learnt.
DEMO_EXAMPLES = (
    "Do you know the Titanic movie?",
    "What is the capital of Japan?",
    "Tell me a story about a dragon.",
    "What is turnstream?",
)
#: What any model that was trained to chat can answer.
EXAMPLES = (
    "Explain in two sentences why the sky is blue.",
    "Write a Python function that reverses the words of a sentence.",
    "Compare tea and coffee in a small table.",
    "Give me five ideas for a rainy afternoon.",
)


def _examples(value: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, value.split(";"))))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """What the page says of this installation."""

    title: str = Setting(
        "PAGE_TITLE", text, "turnstream", "title of the page, and its name at the top"
    ).field()
    welcome: str = Setting(
        "PAGE_WELCOME",
        text,
        "What would you like to know?",
        "what the page says before the first question of a conversation",
    ).field()
    #: None: those that suit the model.
    examples: tuple[str, ...] | None = Setting(
        "PAGE_EXAMPLES",
        _examples,
        None,
        "questions that the page offers before the first one, separated by `;`; a single `;`"
        " for none",
        shown="four that the demo model, or any, can answer",
    ).field()


def routes(settings: PageSettings, model: str) -> list[BaseRoute]:
    """Return the routes of the page and its files.

    Args:
        model: the name of the default model, which is to answer the examples.
    """
    files = read_files()
    document = _document(settings, model, list(files))

    async def page(request: Request) -> Response:
        return HTMLResponse(document, headers=_HEADERS)

    async def static(request: Request) -> Response:
        try:
            file = files[request.path_params["path"]]
        except KeyError as exc:
            raise HTTPException(404) from exc
        return _answer(file, request.headers)

    return [Route("/", page), Route("/static/{path:path}", static)]


def _answer(file: PageFile, asked: Headers) -> Response:
    # A browser asks again each time, so that all files are of one release.
    headers = _HEADERS | {"etag": file.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if file.etag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in asked.get("accept-encoding", ""):
        compressed = headers | {"content-encoding": "gzip"}
        return Response(file.compressed, headers=compressed, media_type=file.media_type)
    return Response(file.content, headers=headers, media_type=file.media_type)


def _document(settings: PageSettings, model: str, files: list[str]) -> str:
    examples = settings.examples
    if examples is None:
        examples = DEMO_EXAMPLES if model == "demo" else EXAMPLES
    # A browser would find the modules one after the other. A shared worker loads its own.
    modules = [name for name in files if name.endswith(".js") and name not in NOT_LOADED]
    button = '<li><button type="button" dir="auto">{}</button></li>'
    preload = '  <link rel="modulepreload" href="static/{}">'
    return Template((STATIC / "index.html").read_text(encoding="utf-8")).substitute(
        title=escape(settings.title),
        welcome=escape(settings.welcome),
        examples="".join(button.format(escape(each)) for each in examples),
        preloads="\n".join(map(preload.format, modules)),
    )
