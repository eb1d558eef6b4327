"""A progress bar for a model that loads, where somebody watches: not in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def loading_bar(report: Callable[[float], None]) -> Iterator[Callable[[float], None]]:
    """Show what is reported on a terminal, too; the bar is gone at the end.

    Yields:
        What is to be called with the share that is loaded, from 0 to 1.
    """
    # None: only on a terminal.
    with tqdm(total=100, desc="loading", unit="%", leave=False, disable=None) as bar:

        def show(share: float) -> None:
            bar.update(int(share * 100) - bar.n)
            report(share)

        yield show
