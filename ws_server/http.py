"""Turns over HTTP: `/v1/responses`, `/v1/chat/completions` and `/v1/completions`."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from turnstream.turns import shapes
from turnstream.turns.errors import BadRequest, ResponseNotFound
from turnstream.turns.event_json import event_type
from turnstream.turns.follower import Follower
from turnstream.turns.ids import is_response_id, response_of
from turnstream.turns.response import without_logprobs
from turnstream.turns.tasks import end
from turnstream.turns.turn import Turn
from turnstream.ws_server import chat, choices, completions, field, metrics
from turnstream.ws_server.body import read_request, share_of
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import Create, read_create, with_key
from turnstream.ws_server.event_stream import EventStream, ResponsesWire, client_left
from turnstream.ws_server.field import Body
from turnstream.ws_server.references import resolved
from turnstream.ws_server.sampling import LOGPROBS
from turnstream.ws_server.state import admit_visitor, state_of
from turnstream.ws_server.submitted import submitted
from turnstream.ws_server.unanswered import parts_memory
from turnstream.ws_server.wire import failure, json_response, refused

T = TypeVar("T")

#: How long a cancel waits for the turn to end; after a lost worker that may take longer.
CANCEL_SECONDS = 15.0


async def create_response(request: Request) -> Response:
    """`POST /v1/responses`: answer whole, as a stream, or at once in the background."""
    state, visitor = await admit_visitor(request)
    create, stream = await read_request(request, _read_response)
    create = with_key(create, request.headers.get("idempotency-key"))
    visitor.check_create(create)
    share = share_of(request)
    share.take(parts_memory(create))
    await state.grammars.check(visitor.owner, *create.grammars)
    model = await state.directory.find(create.model)
    create = await resolved(create, state.turn_client, visitor.owner, share.take)
    turn = visitor.submitting(create.turn(visitor.owner, model, previous_cached=False))
    if stream:
        return EventStream(state.turn_client, submitted(request, turn), ResponsesWire())
    if create.background:
        return json_response(await _submitted(request, turn))
    last = await _last_event(request, submitted(request, turn))
    return refused(last) if event_type(last) == b"error" else json_response(_response_in(last))


def _read_response(body: Body) -> tuple[Create, bool]:
    return read_create(body), bool(body.get("stream"))


async def create_completion(request: Request) -> Response:
    """`POST /v1/chat/completions`: the same turn in the older protocol."""
    state, visitor = await admit_visitor(request)
    asked = await read_request(request, read_chat)
    create = with_key(asked.create, request.headers.get("idempotency-key"))
    visitor.check_create(create)
    share_of(request).take(parts_memory(create))
    await state.grammars.check(visitor.owner, *create.grammars)
    turns = choices.turns_of(create, visitor.owner, await state.directory.find(create.model))
    turns = [visitor.submitting(turn) for turn in turns]
    submit = partial(submitted, request)
    following = submit(turns[0])
    if len(turns) > 1:
        following = choices.following(state.turn_client, turns, submit)
    if asked.stream:
        wire = chat.ChatWire(
            include_usage=asked.include_usage, choices=len(turns), functions=asked.functions
        )
        return EventStream(state.turn_client, following, wire)
    responses = []
    for last in await _last_events(request, following):
        if event_type(last) == b"error":
            return chat.refusal_of(last)
        response = msgspec.json.decode(_response_in(last), type=shapes.Response)
        if response.status == "failed":
            return failure(chat.failure_of(response), 500)
        responses.append(response)
    return json_response(chat.completion(*responses, functions=asked.functions))


async def create_text_completion(request: Request) -> Response:
    """`POST /v1/completions`: a turn for each raw prompt."""
    state, visitor = await admit_visitor(request)
    asked = await read_request(request, completions.read_completion)
    for create in asked.creates:
        visitor.check_create(create)
    share_of(request).take(sum(map(parts_memory, asked.creates)))
    key = request.headers.get("idempotency-key")
    model = await state.directory.find(asked.model)
    turns = completions.turns_of(asked, key, visitor.owner, model)
    turns = [visitor.submitting(turn) for turn in turns]
    following = choices.following(state.turn_client, turns, partial(submitted, request))
    wire = completions.TextWire(asked)
    if asked.stream:
        return EventStream(state.turn_client, following, wire)
    responses = []
    for last in await _last_events(request, following):
        if (refusal := wire.refusal(last)) is not None:
            return refusal
        responses.append(msgspec.json.decode(_response_in(last), type=shapes.Response))
    return json_response(completions.completion(responses, asked.echoes))


class _Event(msgspec.Struct, frozen=True):
    response: msgspec.Raw


def _response_in(event: bytes) -> msgspec.Raw:
    return msgspec.json.decode(event, type=_Event).response


async def _submitted(request: Request, turn: Turn) -> str | msgspec.Raw:
    async with submitted(request, turn) as follower:
        if follower.turn_id != turn.id:
            # An earlier request had the same idempotency key.
            stored = state_of(request).turn_client.stored
            return await stored.response(follower.turn_id, turn.owner)
        created = (await anext(follower.batches()))[0]
    return _response_in(created)


async def _last_event(request: Request, following: AbstractAsyncContextManager[Follower]) -> bytes:
    return (await _last_events(request, following))[0]


async def _last_events(
    request: Request, following: AbstractAsyncContextManager[Follower]
) -> list[bytes]:
    """Wait for the end of each turn of a request and return their terminal events in order.

    If one fails, its event is returned alone.

    Raises:
        ClientDisconnect: the client left first; its turn is cancelled if it is not stored.
    """
    async with following as follower:
        try:
            return await _while_client_waits(request, _last(follower))
        except ClientDisconnect:
            # Not here: until the follower is closed, it counts as another reader.
            gone = follower.turn_id
    await state_of(request).turn_client.abandon(gone)
    raise ClientDisconnect


async def _last(follower: Follower) -> list[bytes]:
    last: dict[int, bytes] = {}
    async for batch in follower.batches():
        if batch and event_type(batch[-1]) in choices.FAILED:
            return [batch[-1]]
        if batch:
            last[choices.index_of(batch[-1])] = batch[-1]
    return [last[index] for index in sorted(last)]


async def get_response(request: Request) -> Response:
    """`GET /v1/responses/ID`: as it is now, or with `stream=true` its events from a number on."""
    state, visitor = await admit_visitor(request)
    owner, response_id = visitor.owner, response_id_of(request)
    await visitor.check_response(response_id, state.turn_client)
    if request.query_params.get("stream") != "true":
        found = await state.turn_client.stored.response(response_id, owner)
        # As the official client writes a list in a query, and as others do.
        included = [
            *request.query_params.getlist("include[]"),
            *request.query_params.getlist("include"),
        ]
        return json_response(found if LOGPROBS in included else without_logprobs(found))
    after = field.starting_after(request.query_params.get("starting_after"))
    if request.method == "HEAD":
        # Of a stream there is only its head: whether it exists, and what it is.
        await state.turn_client.stored.response(response_id, owner)
        return Response(media_type="text/event-stream", headers={"cache-control": "no-cache"})
    return EventStream(
        state.turn_client,
        metrics.resuming(state.turn_client.follow(response_id, owner, after=after)),
        ResponsesWire(),
        # These are a known response's events, its refusal included.
        decision_seconds=0,
    )


class _Status(msgspec.Struct, frozen=True):
    status: str


async def cancel_response(request: Request) -> Response:
    """`POST /v1/responses/ID/cancel`: cancel it; a repeated request gets the same answer."""
    state, visitor = await admit_visitor(request)
    owner, response_id = visitor.owner, response_id_of(request)
    await visitor.check_response(response_id, state.turn_client, changes=True)
    try:
        await state.turn_client.cancel(response_id, owner)
    except BadRequest:
        found = await state.turn_client.stored.response(response_id, owner)
        if msgspec.json.decode(found, type=_Status).status != "cancelled":
            raise
    else:
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(CANCEL_SECONDS),
                state.turn_client.follow(response_id, owner, after=-1) as follower,
            ):
                await _last(follower)
        found = await state.turn_client.stored.response(response_id, owner)
    return json_response(found)


def response_id_of(request: Request) -> str:
    """Return the response's id in the path; a completion's id names its response too.

    Raises:
        ResponseNotFound: it is not the id of a response.
    """
    id = response_of(request.path_params["id"])
    if not is_response_id(id):
        raise ResponseNotFound(id[:80])
    return id


async def _while_client_waits(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await work while the client stays connected; the request's body must have been read.

    A server that sends nothing notices a disconnect only if it listens for it.

    Raises:
        ClientDisconnect: the client disconnected first.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(client_left(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        await end([working, leaving])
