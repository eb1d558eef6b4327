"""The page: its document, with the texts of this installation, and the files that it loads.

The document is made once, at start. Everything else is a file; there is no build step.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from turnstream.turns.environment import Setting, text

STATIC = Path(__file__).parent / "static"
#: Of these `turnstream` is a link to `clients/js/src`.
_FOLDERS = ("", "turnstream", "vendor")

#: Nothing is loaded from elsewhere, and the page talks to this host only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " worker-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
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
    return tuple(filter(None, map(str.strip, value.split("|"))))


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
        "questions that the page offers before the first one, separated by `|`; a single `|` for"
        " none",
        shown="four that the demo model, or any, can answer",
    ).field()


def routes(settings: PageSettings, model: str) -> list[BaseRoute]:
    """Return the routes of the page and its files.

    Args:
        model: the name of the default model, which is to answer the examples.
    """
    document = _document(settings, model)

    async def page(request: Request) -> Response:
        return HTMLResponse(document, headers=_HEADERS)

    files = _Files(directory=STATIC, follow_symlink=True)
    compressed = [Middleware(GZipMiddleware, minimum_size=1000)]
    return [Route("/", page), Mount("/static", files, middleware=compressed)]


class _Files(StaticFiles):
    """Files that a browser asks for again each time, so that all are of one release."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        # A worker has the policy of its own script.
        response.headers.update(_HEADERS | {"cache-control": "no-cache"})
        return response


def modules() -> list[str]:
    """Return the paths of the page's modules, which a browser would find one after the other."""
    files = (file for folder in _FOLDERS for file in (STATIC / folder).glob("*.js"))
    names = sorted(file.relative_to(STATIC).as_posix() for file in files)
    # A shared worker loads its modules by itself.
    return [name for name in names if not name.endswith("-worker.js")]


def _document(settings: PageSettings, model: str) -> str:
    examples = settings.examples
    if examples is None:
        examples = DEMO_EXAMPLES if model == "demo" else EXAMPLES
    button = '<li><button type="button" dir="auto">{}</button></li>'
    preload = '  <link rel="modulepreload" href="static/{}">'
    return Template((STATIC / "index.html").read_text(encoding="utf-8")).substitute(
        title=escape(settings.title),
        welcome=escape(settings.welcome),
        examples="".join(button.format(escape(each)) for each in examples),
        preloads="\n".join(map(preload.format, modules())),
    )
