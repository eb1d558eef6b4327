"""Logs why Redis can't be used: once when that changes, and now and then while it lasts."""

import logging
import time

from turnstream.turns.redis_problem import RedisProblem, problem_of

log = logging.getLogger(__name__)

#: A problem that lasts is logged again after so long.
REPEAT_SECONDS = 60.0


class ProblemLog:
    """Logs the problems of one process.

    The tasks of a node share one, so that an outage is one line and not one for each request.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        #: The problem that was logged last, and when; None: Redis can be used.
        self._logged: RedisProblem | None = None
        self._at = 0.0

    def report(self, exc: BaseException) -> RedisProblem:
        """Log the cause of an exception, unless that was done just before, and return it."""
        return self.log(problem_of(exc, self._url))

    def log(self, problem: RedisProblem) -> RedisProblem:
        """Log a problem, unless that was done just before, and return it."""
        now = time.monotonic()
        same = self._logged is not None and self._logged.cause is problem.cause
        if not same or now - self._at > REPEAT_SECONDS:
            log.warning("Redis can't be used: %s", problem)
            self._logged, self._at = problem, now
        return problem

    def solved(self) -> None:
        """Log that Redis can be used again, if it could not."""
        if self._logged is not None:
            self._logged = None
            log.warning("Redis can be used again")
