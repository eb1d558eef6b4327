"""Every Redis key and channel, one function each; those of webhooks are in `turns.webhook_keys`.

The Lua scripts use the same names: `turns.lua_keys` writes the keys into them, so that a key is
spelled in this file and nowhere else. Queue names of Celery are in `turns.wake_up`.
An installation's prefix is not part of the names: clients (`turns.prefixed_clients`) and
`turns.lua_keys` put it before them.
"""


def version() -> str:
    """Text: the record version that all stored data has been migrated to."""
    return "ts:version"


def probe() -> str:
    """Text, and channel: what a check of Redis writes; it expires at once."""
    return "ts:probe"


def turn(id: str) -> str:
    """Hash: the record of a turn."""
    return f"ts:turn:{id}"


def steers(id: str) -> str:
    """Hash: the input that was queued for a turn while it was answered."""
    return f"ts:steers:{id}"


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
    """Hash: for each tier the tag of the turn claimed last, the number of claims, and the number
    of each tier's last claim."""
    return f"ts:clocks:{model}"


def owner(owner: str) -> str:
    """Hash: an owner's active and waiting turns, and how much of its limits per minute is used."""
    return f"ts:owner:{owner}"


def usage(owner: str) -> str:
    """Hash: tokens that an owner with a budget has used of a day and of a month, and which."""
    return f"ts:usage:{owner}"


def owner_limits() -> str:
    """Hash: limits that were set at run time, as text, by owner."""
    return "ts:owner-limits"


def owner_limits_version() -> str:
    """Counter: how often they were set."""
    return "ts:owner-limits-version"


def api_key(digest: str) -> str:
    """Hash: a key that was created at run time, or a client token, by the SHA-256 of its text."""
    return f"ts:api-key:{digest}"


def api_keys() -> str:
    """Hash: digest of each key by its id; client tokens are not listed."""
    return "ts:api-keys"


def api_key_uses() -> str:
    """Hash: when each key was last used, in seconds since 1970, by its id."""
    return "ts:api-key-uses"


def stored_bytes(owner: str) -> str:
    """Hash: bytes of an owner's records and logs, by the second after which they have expired, and
    of all as `total`."""
    return f"ts:stored-bytes:{owner}"


def arrivals() -> str:
    """Counter: number of each arrival, which orders equal tags."""
    return "ts:arrivals"


def statistics(model: str) -> str:
    """Hash: average time that turns of each tier had a slot, and arrival rates."""
    return f"ts:statistics:{model}"


def free_slots(model: str) -> str:
    """Hash: slots that each worker of a model has free."""
    return f"ts:free-slots:{model}"


def slots(model: str) -> str:
    """Hash: slots that each worker of a model has."""
    return f"ts:slots:{model}"


def heartbeats(model: str) -> str:
    """Sorted set: time of each worker's last heartbeat, in milliseconds."""
    return f"ts:heartbeats:{model}"


def worker_indexes(model: str) -> str:
    """Hash: for each index of a worker, until when it is leased, in milliseconds, and to whom."""
    return f"ts:worker-indexes:{model}"


def draining(model: str) -> str:
    """Hash: workers that finish their turns and claim no more, and since when, in milliseconds."""
    return f"ts:draining:{model}"


def loading(model: str) -> str:
    """Text: how much of the weights a worker of a model has loaded, in percent; it expires."""
    return f"ts:loading:{model}"


def preemptible(model: str) -> str:
    """Sorted set: batch turns that have a slot, by when they were claimed, in milliseconds."""
    return f"ts:preemptible:{model}"


def preempted(model: str) -> str:
    """Sorted set: those of them that were preempted, by when, in milliseconds."""
    return f"ts:preempted:{model}"


def leases() -> str:
    """Sorted set: when the lease of each claimed turn ends, in milliseconds."""
    return "ts:leases"


def claim(model: str, worker: str) -> str:
    """Hash: a worker's last claim, so that a repeated one is answered the same way."""
    return f"ts:claim:{model}:{worker}"


def watches() -> str:
    """Sorted set: until when a turn that is not stored goes on without a reader, in ms."""
    return "ts:watches"


def deadlines() -> str:
    """Sorted set: when each active turn fails for lack of time, in milliseconds."""
    return "ts:deadlines"


def idempotency(owner: str, key: str) -> str:
    """Hash: the turn that an owner's idempotency key created, and its fingerprint."""
    return f"ts:idempotency:{owner}:{key}"


def sweep() -> str:
    """Hash: when the last sweep was, and until when leases are not checked after an outage."""
    return "ts:sweep"


def requested_models() -> str:
    """Set: models that turns were submitted for."""
    return "ts:requested-models"


def count_requests(model: str) -> str:
    """List: conversations whose tokens the workers of a model are to count."""
    return f"ts:count-requests:{model}"


def models() -> str:
    """Hash: the self-description of each model that a worker has served, as JSON."""
    return "ts:models"


def conversation(id: str) -> str:
    """Hash: the record of a conversation with an id."""
    return f"ts:conversation:{id}"


def feed(id: str) -> str:
    """List: the latest entries of a conversation's feed, as JSON; of a tree of turns by the id of
    its first one. Only of what somebody has followed."""
    return f"ts:feed:{id}"


def feed_nodes(feed: str) -> str:
    """Sorted set: the nodes that follow a feed, by until when, in milliseconds."""
    return f"ts:feed-nodes:{feed}"


def batch(id: str) -> str:
    """Hash: the record of a batch."""
    return f"ts:batch:{id}"


def batches(owner: str) -> str:
    """Sorted set: an owner's batches, by when they were created."""
    return f"ts:batches:{owner}"


def active_batches(owner: str) -> str:
    """Set: an owner's batches that have not ended."""
    return f"ts:active-batches:{owner}"


def batch_leases() -> str:
    """Sorted set: when the lease of each unfinished batch ends, in milliseconds."""
    return "ts:batch-leases"


def batch_ended(id: str) -> str:
    """List: turns of a batch that have ended and are not yet committed to its output."""
    return f"ts:batch-ended:{id}"


def batch_commits(id: str) -> str:
    """Bitmap: which lines of a batch's file are committed."""
    return f"ts:batch-commits:{id}"


def batch_parts(id: str) -> str:
    """List: the parts of a batch's output, in order, by their names in the blob store."""
    return f"ts:batch-parts:{id}"


def file(id: str) -> str:
    """Hash: metadata of a file; its content is in the blob store."""
    return f"ts:file:{id}"


def files(owner: str) -> str:
    """Sorted set: an owner's files, by when they were created."""
    return f"ts:files:{owner}"


def file_sizes(owner: str) -> str:
    """Hash: counted bytes of each of an owner's files by its id, and of all as `total`."""
    return f"ts:file-sizes:{owner}"


def uploads(owner: str) -> str:
    """Sorted set: ids of an owner's uploads under way, by when each lapses, in milliseconds."""
    return f"ts:uploads:{owner}"


def file_expiries() -> str:
    """Sorted set: when each file expires, in seconds."""
    return "ts:file-expiries"


def worker_channel(model: str, worker: str) -> str:
    """Channel: a worker's commands, see `turns.commands`."""
    return f"ts:worker:{model}:{worker}"


def node_channel(node: str) -> str:
    """Channel: events for one node."""
    return f"ts:node:{node}"
