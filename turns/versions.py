"""Reports records of a newer release, which this release leaves alone."""

import logging

log = logging.getLogger(__name__)


class NewerVersionLog:
    """Logs the first such record that a process meets, and no other."""

    def __init__(self) -> None:
        self._reported = False

    def report(self, id: str) -> None:
        """Log that a record was left alone; '' is none."""
        if id and not self._reported:
            self._reported = True
            log.warning(
                "%s: left alone, a newer release wrote its record: upgrade this process", id
            )
