"""What is stored in Redis: records of a turn and of a batch, log entries, self-descriptions.

These types are the one list of stored fields; the Lua scripts and `turns.keys` use the same names.
Hash fields are text in Redis: an integer is decimal, a boolean '1' or '0', a time is milliseconds
since 1970 unless it says otherwise. A field is added here first, and read as absent by the scripts
until every writer sets it. A change that older code would misread needs a new `VERSION`.

Status of a turn, and who writes the change:

| from        | to          | written by                                                  |
|-------------|-------------|-------------------------------------------------------------|
| (none)      | queued      | submit                                                      |
| (none)      | completed   | warm_up                                                     |
| queued      | in_progress | claim                                                       |
| queued      | cancelled   | cancel; sweep, when its readers left                        |
| queued      | failed      | sweep: time over, or no worker serves its model             |
| queued      | incomplete  | steer                                                       |
| in_progress | in_progress | claim, by another attempt after a requeue or a lost worker  |
| in_progress | completed   | append                                                      |
| in_progress | incomplete  | append: its tokens are used up, or it was steered           |
| in_progress | cancelled   | append                                                      |
| in_progress | failed      | append; sweep: time over, or too many workers were lost     |

A turn that is requeued keeps the status in_progress while it waits, without a `worker`.
"""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

#: The newest version of a record that this release reads, and the one it writes. A record with a
#: higher version is left alone. Records without a version are those of releases up to 1.
VERSION = 3
#: The same for the self-description of a model, which nodes of the release before also read.
DESCRIPTION_VERSION = 2

TurnStatus = Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]

#: The statuses that may follow each status of a turn; None: the turn is created.
TRANSITIONS: Mapping[TurnStatus | None, frozenset[TurnStatus]] = {
    None: frozenset({"queued", "completed"}),
    "queued": frozenset({"in_progress", "cancelled", "failed", "incomplete"}),
    "in_progress": frozenset({"in_progress", "completed", "incomplete", "cancelled", "failed"}),
    "completed": frozenset(),
    "incomplete": frozenset(),
    "cancelled": frozenset(),
    "failed": frozenset(),
}


class TurnRecord(TypedDict):
    """Hash `keys.turn(id)`. Written by submit (or warm_up) unless a field says otherwise."""

    version: int
    owner: str
    model: str
    tier: str
    #: See the table above.
    status: TurnStatus
    #: How many workers have claimed it. Written by claim.
    attempt: int
    #: Sequence number of its last event. Written by whoever writes an event.
    seq: int
    store: bool
    #: JSON, see `turns.turn.Request`.
    request: str
    #: JSON, see `turns.turn.items_to_json`: what is new in this turn.
    input: str
    #: The response object's JSON after its status and error. Written again by append at its end.
    response: str
    #: Names of the nodes that follow it, one a line; '-' for a batch line. Also by follow.
    nodes: str
    #: The turn that this one continues; absent when there is none.
    previous_response_id: NotRequired[str]
    #: Its member in the sorted set `keys.queue`: number of arrival and id. Absent for a warm-up.
    queue_member: NotRequired[str]
    queued_at: NotRequired[int]
    #: Queue places that were announced, one on each line: position, size, eta_seconds, workers.
    #: Written by submit and announce; deleted by claim.
    announced: NotRequired[str]
    announced_at: NotRequired[int]
    #: Tokens counted against its owner's limit until its end is known.
    reserved_tokens: NotRequired[int]
    #: The day (UTC) whose budget they were counted against; absent without a budget.
    budget_day: NotRequired[str]
    #: Id of its batch and number of its line there.
    batch: NotRequired[str]
    line: NotRequired[int]
    #: The conversation with an id that it is a turn of. A message that was added to one by hand is
    #: a record with this, and only version, owner, status, store, input, output, awaits_answer,
    #: previous_response_id. Written by submit, warm_up and conversation_add.
    conversation: NotRequired[str]
    #: The first turn of the tree that it is in, which continues no other or one of a conversation;
    #: absent in a conversation and of the first turn itself. Written by submit and warm_up.
    root: NotRequired[str]
    #: Items that were removed from that conversation, as `turns.ids.turn_of_item` names them, with
    #: a comma before, between and after them. Written by conversation_remove.
    removed: NotRequired[str]
    #: Whether a warm-up's conversation can be answered without further items. Written by warm_up.
    awaits_answer: NotRequired[bool]
    #: Bytes of inputs and outputs, and number of turns, of its conversation up to it. Written by
    #: submit, warm_up and conversation_add; by append at its end.
    bytes: NotRequired[int]
    depth: NotRequired[int]
    #: JSON of the system messages in its input, if there are any; and the last turn up to it that
    #: has some. An item that was added by hand has only the second. Written as `bytes` is.
    system: NotRequired[str]
    system_at: NotRequired[str]
    #: When it and all turns before it were last kept alive, in parts of the retention. Written by
    #: whoever continues it.
    held: NotRequired[int]
    #: What its owner's stored bytes have for it, and until when, in seconds since 1970. Absent for
    #: a batch line. Written whenever its retention is set.
    stored_bytes: NotRequired[int]
    stored_until: NotRequired[int]
    #: Written by claim; `worker` is deleted when the turn is requeued.
    worker: NotRequired[str]
    claimed_at: NotRequired[int]
    #: How often it was requeued, and how long its earlier attempts ran. Written with a requeue.
    requeues: NotRequired[int]
    running_ms: NotRequired[int]
    #: Set by cancel and sweep for a turn that a worker is to end.
    cancel_requested: NotRequired[bool]
    #: The turn that goes on with the input that was queued for this one; before this one has ended
    #: it does not exist. Absent while there is no such input. Written by steer, and by submit when
    #: it takes the input.
    successor: NotRequired[str]
    #: Id of the HTTP request, or of the WebSocket's handshake; absent for a batch line.
    request_id: NotRequired[str]
    #: The span whose children its workers' spans are, as W3C Trace Context writes it; absent if it
    #: is in no trace.
    traceparent: NotRequired[str]
    #: JSON: null, or code and message. Written at its end.
    error: NotRequired[str]
    #: The answer's text. Written at its end.
    output: NotRequired[str]
    #: JSON, see `turns.turn.items_to_json`: the answer's calls of tools, which follow its text;
    #: absent when there are none. Written by append at its end.
    calls: NotRequired[str]


class SteersRecord(TypedDict):
    """Hash `keys.steers(id)`. Written by steer unless a comment says otherwise.

    It has for steer number N, from 1, also `id:N`, `items:N` (JSON, see `turns.turn.items_to_json`)
    and `input:N` (JSON, as it was sent), without the last two once a turn has taken them; and for
    each key that a steer was sent with `known:KEY`, the steer's id.
    """

    #: The turn's record has it too, and is the one that decides.
    successor: str
    count: int
    #: Of items and input together.
    bytes: int
    #: The successor's response (JSON after status, error and created_at), until it exists.
    response: NotRequired[str]
    #: As the turn's node has them; 0 for `watch_ms` if the turn goes on without a reader.
    turn_seconds: int
    watch_ms: int
    #: What was counted for the successor; see `TurnRecord`.
    reserved_tokens: NotRequired[int]
    budget_day: NotRequired[str]
    #: What its owner's stored bytes have for it; see `TurnRecord`.
    stored_bytes: NotRequired[int]
    stored_until: NotRequired[int]
    #: The turn's place in the queue, if it was not claimed yet: its successor's.
    tag: NotRequired[float]
    #: `continued`, `pending` or `failed`, see `turns.shapes.Steering`. Written when the turn ends,
    #: and by submit when it takes the input.
    outcome: NotRequired[str]


class LogEntry(TypedDict):
    """Entry (n + 1)-0 of the stream `keys.log(id)`. Written by append, claim, announce, sweep."""

    #: JSON of event number n; empty in the log of a batch line.
    event: str
    #: Comma-separated ids of the tokens whose text this event is the last to show.
    token_ids: NotRequired[str]
    #: JSON, see `turns.token_logprobs`: of these tokens, for a turn that reports them.
    logprobs: NotRequired[str]


class ConversationRecord(TypedDict):
    """Hash `keys.conversation(id)`. Written by conversation_add unless a field says otherwise."""

    version: int
    owner: str
    #: Seconds since 1970.
    created_at: int
    #: JSON. Also written by conversation_update.
    metadata: str
    #: Id of its last turn; absent while it has none. It may be active, or have failed and be left
    #: out by whoever reads it next. Also written by submit, warm_up, conversation_remove, delete.
    last: NotRequired[str]


class ApiKeyRecord(TypedDict):
    """Hash `keys.api_key(digest)`. Times are seconds since 1970. Written by api_key_create."""

    version: int
    #: Of a client token that of the key that made it; absent if that is one of the settings.
    id: NotRequired[str]
    owner: str
    created_at: int
    #: What its owner calls it.
    name: NotRequired[str]
    #: Absent: it does not expire.
    expires_at: NotRequired[int]
    #: `TIER+TIER`; absent: all that its owner may use.
    tiers: NotRequired[str]
    #: Requests a minute with this key; absent: as many as its owner may make.
    requests_per_minute: NotRequired[int]
    #: 1 for a client token; and the digest of the key that made it, without which it is worth
    #: nothing. The second is absent where no keys are needed.
    is_token: NotRequired[bool]
    made_with: NotRequired[str]
    #: Of a client token: all that it may be used for; and 1 if it may only follow and read that.
    conversation: NotRequired[str]
    response: NotRequired[str]
    follows: NotRequired[bool]


class WebhookEndpointRecord(TypedDict):
    """Hash `keys.webhook_endpoint(id)`. Times are seconds since 1970. Written by webhook_endpoint.

    For each event type whose deliveries were given up because the outbox was full it also has
    `dropped:TYPE`, and `dropped:dead_letters`: how many. Written by whoever ends a turn or batch.
    """

    version: int
    owner: str
    name: str
    url: str
    #: JSON, list of strings: the event types that it wants.
    event_types: str
    #: JSON, newest first: list of a signing secret and until when it is used, 0 for the newest.
    secrets: str
    created_at: int
    #: When any of these was last changed.
    updated_at: int
    #: 1 if its last attempt failed. Written by webhook_settle.
    failing: NotRequired[bool]


class BatchRecord(TypedDict):
    """Hash `keys.batch(id)`. Times are seconds since 1970. Written by batch_create, or as said."""

    version: int
    owner: str
    #: See `turns.batch.Status`. Also written by batch_step, batch_cancel and batch_end.
    status: str
    #: Digest of what was asked for, to recognise a repeated request.
    fingerprint: str
    #: JSON, see `turns.batch.Plan`.
    plan: str
    #: Number of its runner: increased by batch_take.
    epoch: NotRequired[int]
    #: How many of its runners failed. Written by whoever ran them.
    failures: NotRequired[int]
    #: Number of the last commit, and number and offset of the first line that may not be committed
    #: yet. Written by batch_commit, as the five counts are.
    step: NotRequired[int]
    place: NotRequired[str]
    completed: NotRequired[int]
    failed: NotRequired[int]
    input_tokens: NotRequired[int]
    cached_tokens: NotRequired[int]
    output_tokens: NotRequired[int]
    #: Written by batch_step and batch_end, with the time of each status as STATUS_at.
    model: NotRequired[str]
    total: NotRequired[int]
    problems: NotRequired[str]
    ending: NotRequired[str]
    output_file_id: NotRequired[str]
    error_file_id: NotRequired[str]


class SelfDescription(TypedDict):
    """A model's self-description: JSON in the hash `keys.models()`, written by heartbeat."""

    version: int
    #: Seconds since 1970 at which its worker started.
    created: int
    #: Tokens of prompt and answer together that the model takes at most.
    context: int
    #: Defaults for requests that don't set them.
    temperature: float
    top_p: float
