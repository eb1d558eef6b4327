"""Keep what transformers says while it loads to one line: the first of its error, if any."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging


def first_line(exc: Exception) -> str:
    """Return the first line of an exception's text, or its type."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)


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
