"""Every Redis key and channel, one function each.

The Lua scripts get the same names: `lua_functions` writes each function below as a Lua function, so
that a key is spelled in this file and nowhere else. Queue names of Celery are in `turns.wake_up`.
"""

import inspect
from collections.abc import Callable


def turn(id: str) -> str:
    """Hash: the record of a turn."""
    return f"ts:turn:{id}"


def log(id: str) -> str:
    """Stream: the events of a turn; event number n has the id (n + 1)-0."""
    return f"ts:log:{id}"


def queue(model: str, tier: str) -> str:
    """Sorted set: turns that wait for a model in a tier; lowest tag first."""
    return f"ts:queue:{model}:{tier}"


def tags(model: str, tier: str) -> str:
    """Sorted set: each owner's last tag in a tier, kept while it is ahead of the clock."""
    return f"ts:tags:{model}:{tier}"


def clocks(model: str) -> str:
    """Hash: for each tier the tag of the turn claimed last, how many claims there were, and which
    of them was each tier's last."""
    return f"ts:clocks:{model}"


def owner(owner: str) -> str:
    """Hash: turns of an owner that have not ended, that wait, and what of its minute is used up."""
    return f"ts:owner:{owner}"


def arrivals() -> str:
    """Counter: gives equal tags their order of arrival."""
    return "ts:arrivals"


def pace(model: str) -> str:
    """Hash: how long turns of each tier had a row of late, and how often they came."""
    return f"ts:pace:{model}"


def free_slots(model: str) -> str:
    """Hash: slots that each worker of a model has free."""
    return f"ts:free-slots:{model}"


def slots(model: str) -> str:
    """Hash: slots that each worker of a model has."""
    return f"ts:slots:{model}"


def heartbeats(model: str) -> str:
    """Sorted set: when each worker of a model was last heard of, in milliseconds."""
    return f"ts:heartbeats:{model}"


def preemptible(model: str) -> str:
    """Sorted set: batch turns that have a row, by when they got it, in milliseconds."""
    return f"ts:preemptible:{model}"


def preempted(model: str) -> str:
    """Sorted set: those of them that were told to give it back, by when, in milliseconds."""
    return f"ts:preempted:{model}"


def leases() -> str:
    """Sorted set: until when each claimed turn is believed to be worked on, in milliseconds."""
    return "ts:leases"


def claim(model: str, worker: str) -> str:
    """Hash: a worker's last claim, so that a repeated one is answered the same way."""
    return f"ts:claim:{model}:{worker}"


def watches() -> str:
    """Sorted set: until when a turn that is not stored is kept going without a reader, in ms."""
    return "ts:watches"


def deadlines() -> str:
    """Sorted set: when each turn that has not ended is given up, in milliseconds."""
    return "ts:deadlines"


def once(owner: str, key: str) -> str:
    """Hash: the turn that an owner's idempotency key made, and what was asked for."""
    return f"ts:once:{owner}:{key}"


def swept() -> str:
    """Hash: when the last sweep was, and until when leases are left alone after an outage."""
    return "ts:swept"


def asked() -> str:
    """Set: models that turns were handed in for."""
    return "ts:asked"


def counts(model: str) -> str:
    """List: conversations whose tokens a worker of a model is asked to count."""
    return f"ts:counts:{model}"


def models() -> str:
    """Hash: what each model that a worker has served says of itself, as JSON."""
    return "ts:models"


def batch(id: str) -> str:
    """Hash: the record of a batch, requests in a file that are answered when nobody else waits."""
    return f"ts:batch:{id}"


def batches(owner: str) -> str:
    """Sorted set: an owner's batches, by when they were made."""
    return f"ts:batches:{owner}"


def batch_leases() -> str:
    """Sorted set: until when each unfinished batch is believed to be fed, in milliseconds."""
    return "ts:batch-leases"


def batch_ended(id: str) -> str:
    """List: turns of a batch that have ended and whose end is not yet in its output."""
    return f"ts:batch-ended:{id}"


def batch_commits(id: str) -> str:
    """Bitmap: which lines of a batch's file are in its output."""
    return f"ts:batch-marks:{id}"


def batch_parts(id: str) -> str:
    """List: the parts of a batch's output, in order, by their names in the blob store."""
    return f"ts:batch-parts:{id}"


def file(id: str) -> str:
    """Hash: what is known of a file; its content is in the blob store."""
    return f"ts:file:{id}"


def files(owner: str) -> str:
    """Sorted set: an owner's files, by when they were made."""
    return f"ts:files:{owner}"


def file_expiries() -> str:
    """Sorted set: when each file goes away, in seconds."""
    return "ts:file-expiries"


def worker_channel(model: str, worker: str) -> str:
    """Channel: ids of turns that a worker is to end, or, with `preempt` in front, to hand back."""
    return f"ts:worker:{model}:{worker}"


def node_channel(node: str) -> str:
    """Channel: events on their way to one front-end process."""
    return f"ts:node:{node}"


_SPELLED: tuple[Callable[..., str], ...] = (
    turn,
    log,
    queue,
    tags,
    clocks,
    owner,
    arrivals,
    pace,
    free_slots,
    slots,
    heartbeats,
    preemptible,
    preempted,
    leases,
    claim,
    watches,
    deadlines,
    once,
    swept,
    asked,
    counts,
    models,
    batch,
    batches,
    batch_leases,
    batch_ended,
    batch_commits,
    batch_parts,
    file,
    files,
    file_expiries,
    worker_channel,
    node_channel,
)


def lua_functions() -> str:
    """Write every function above as a Lua function called `NAME_key`."""
    written = []
    for function in _SPELLED:
        names = list(inspect.signature(function).parameters)
        spelled = function(*(f"' .. {name} .. '" for name in names))
        written.append(
            f"local function {function.__name__}_key({', '.join(names)}) return '{spelled}' end"
        )
    return "\n".join(written) + "\n"
