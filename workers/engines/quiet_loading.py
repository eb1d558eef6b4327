"""Keep what transformers says while it loads to one line: the first of its error, if any."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging as transformers_logging


def first_line(exc: Exception) -> str:
    """Return the first line of an exception's text, or its type."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)


class _Reported:
    """An iterable that reports how much of it was taken."""

    def __init__(self, items: Collection[Any], on_progress: Callable[[float], None]) -> None:
        self._items = items
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[Any]:
        for n, item in enumerate(self._items):
            self._on_progress(n / len(self._items))
            yield item
        self._on_progress(1.0)


@contextmanager
def reporting(on_progress: Callable[[float], None]) -> Iterator[None]:
    """Report the share of the weights that transformers has loaded, where it would show a bar."""

    def hook(bar: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") == "Loading weights":
            return _Reported(args[0], on_progress)
        return bar(*args, **kwargs)

    previous = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars out of the worker's log."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
