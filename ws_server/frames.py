"""Read the frames that a client sends on the socket."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from turnstream.turns.errors import BadRequest, ConversationNotFound, TurnError
from turnstream.turns.ids import is_conversation_id, is_response_id, response_of
from turnstream.turns.turn import Item
from turnstream.ws_server import feed_bodies, field, requests
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.decode import decode, read_json
from turnstream.ws_server.field import Body
from turnstream.ws_server.items import read_steer
from turnstream.ws_server.request_errors import BodyTooLarge
from turnstream.ws_server.settings import BODY_BYTES
from turnstream.ws_server.unanswered import text_memory
from turnstream.ws_server.unexpected import confined

_STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a response; None: the one that runs on the lane."""

    response_id: str | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Follow an existing response from the event after a number."""

    response_id: str
    #: -1: from its beginning.
    starting_after: int


@dataclass(frozen=True, slots=True)
class Steer:
    """Add input to a running response."""

    response_id: str
    #: Unchanged: an error returns it.
    input: object
    #: What it says; or why it can't be taken.
    items: tuple[Item, ...] | TurnError
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """Go on with another key or client token."""

    token: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Follow the feed of a conversation, or of a tree of turns, from an entry on."""

    id: str
    #: The number of an entry, or its cursor; -1: from its beginning.
    starting_after: int | str
    #: Whether the events of its responses that run are wanted.
    responses: bool


@dataclass(frozen=True, slots=True)
class Unfollow:
    """Follow the feed no more that was followed under this frame's name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error of a frame that was refused."""

    error: TurnError
    #: The response that the frame wanted to continue.
    previous_response_id: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's request and its lane."""

    stream_id: str | None
    request: Create | Cancel | Resume | Steer | Refresh | Follow | Unfollow | Refusal
    #: Bytes of its strings in memory, at most.
    size: int = 0


def read_frame(text: str | None, most: int = BODY_BYTES) -> Frame:
    """Read a frame; an error becomes a `Refusal`, since the lane must send it in order.

    Args:
        text: None for a binary frame.
        most: bytes that it may have; a larger one is refused and the socket stays open.
    """
    stream_id = parent = None
    try:
        if text is None:
            raise BadRequest("Send text, not bytes.", code="invalid_json")
        if len(text.encode(errors="replace")) > most:
            raise BodyTooLarge(most)
        body = read_json(text)
        stream_id = _stream_id(body)
        if body.get("type") == "response.create":
            parent = _parent(body)
        with confined("a frame"):
            return Frame(stream_id, _request(body), text_memory(text))
    except TurnError as exc:
        return Frame(stream_id, Refusal(exc, parent))


def read_resume(query: Mapping[str, str]) -> Frame | None:
    """Read from a handshake's query which response a reconnecting client resumes, if any."""
    resumed = query.get("resume_response_id")
    if resumed is None:
        return None
    stream_id = None
    try:
        stream_id = _stream_id(query)
        after = field.starting_after(query.get("starting_after"))
        return Frame(stream_id, Resume(response_of(resumed), after))
    except BadRequest as exc:
        return Frame(stream_id, Refusal(exc))


def feed_id(id: str) -> str:
    """Return the id of a conversation, or of a response, whose feed is asked for.

    Raises:
        ConversationNotFound: it is none.
    """
    if is_conversation_id(id) or is_response_id(response := response_of(id)):
        return id if is_conversation_id(id) else response
    raise ConversationNotFound(id)


def _request(body: Body) -> Create | Cancel | Resume | Steer | Refresh | Follow | Unfollow:
    match body.get("type"):
        case "response.create":
            return _create(_fields(body))
        case "response.cancel":
            cancel = decode(body, requests.CancelFrame)
            return Cancel(None if cancel.response_id is None else response_of(cancel.response_id))
        case "response.steer":
            return _steer(body)
        case "turnstream:response.resume":
            resume = decode(body, requests.ResumeFrame)
            after = resume.starting_after
            return Resume(response_of(resume.response_id), -1 if after is None else after)
        case "turnstream:token.refresh":
            return Refresh(decode(body, requests.RefreshFrame).token)
        case "turnstream:conversation.follow":
            follow = decode(body, feed_bodies.FollowFrame)
            since = follow.starting_after
            return Follow(
                feed_id(follow.conversation),
                -1 if since is None else since,
                follow.responses is not False,
            )
        case "turnstream:conversation.unfollow":
            return Unfollow()
        case other:
            raise BadRequest(
                f"There is no event of type {str(other)[:80]!r}.",
                code="unknown_event_type",
                param="type",
            )


def _steer(body: Body) -> Steer:
    target = decode({**body, "input": None, "idempotency_key": None}, requests.SteerFrame)
    response_id, said = response_of(target.previous_response_id), body.get("input")
    try:
        steer = decode(body, requests.SteerFrame)
        items = read_steer(steer.input)
    except BadRequest as exc:
        return Steer(response_id, said, exc)
    return Steer(response_id, said, items, steer.idempotency_key)


def _fields(body: Body) -> Body:
    # Clients differ: the fields are beside the type, or nested in `response`.
    nested = body.get("response")
    return nested if isinstance(nested, dict) else body


def _parent(body: Body) -> str | None:
    parent = _fields(body).get("previous_response_id")
    return parent if isinstance(parent, str) else None


def _create(body: Body) -> Create:
    create = read_create(body)
    if create.background:
        raise field.unsupported("background", "POST it to /v1/responses instead.")
    return create


def _stream_id(body: Body) -> str | None:
    value = body.get("stream_id")
    if value is None:
        return None
    if not isinstance(value, str) or not _STREAM_ID.fullmatch(value):
        raise BadRequest(
            "'stream_id' must be 1 to 256 letters, digits, '_', '.' or '-'.",
            code="invalid_stream_id",
            param="stream_id",
        )
    return value
