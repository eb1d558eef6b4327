"""Why a batch stops: no further line is answered, and each unanswered line says why."""

from dataclasses import dataclass

from turnstream.turns.batch import Batch, Status


@dataclass(frozen=True, slots=True)
class Stop:
    """A reason to stop."""

    #: Status that the batch ends with.
    ending: Status
    #: Error of each line that is not answered.
    code: str
    message: str


CANCELLED = Stop(
    Status.CANCELLED,
    "batch_cancelled",
    "This request was not completed before its batch was cancelled.",
)
EXPIRED = Stop(
    Status.EXPIRED,
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)


def stop_of(batch: Batch) -> Stop | None:
    """Return why a batch was stopping when it was taken; None if it was not."""
    if batch.status is Status.CANCELLING:
        return CANCELLED
    return EXPIRED if batch.ending is Status.EXPIRED else None
