"""Read one line of a batch's file: a request as it would be made to the endpoint itself."""

import asyncio

from turnstream.turns.errors import BadRequest
from turnstream.ws_server import field, requests
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.completions import read_completion
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.decode import decode, read_json
from turnstream.ws_server.field import Body
from turnstream.ws_server.reading import SMALL_BYTES

RESPONSES = "/v1/responses"
CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
#: How long lines are read before other tasks run.
STEP_SECONDS = 0.005
#: Endpoints that a batch's requests may be for.
ENDPOINTS = (RESPONSES, CHAT, TEXT)


async def read_line(text: bytes | None, endpoint: str) -> tuple[str, Create]:
    """Read a line; a large one on a thread, so that the node goes on meanwhile.

    Raises:
        BadRequest: as `read_request` does.
    """
    if text is not None and len(text) > SMALL_BYTES:
        return await asyncio.to_thread(read_request, text, endpoint)
    return read_request(text, endpoint)


def read_request(text: bytes | None, endpoint: str) -> tuple[str, Create]:
    """Read a line; return its custom_id and its request.

    Raises:
        BadRequest: it is not a request for this endpoint; it says which field is wrong.
    """
    if text is None:
        raise BadRequest("This line is too long.", code="line_too_long")
    line = decode(read_json(text), requests.BatchLine)
    if line.method != "POST":
        raise BadRequest("'method' must be POST.", code="invalid_method", param="method")
    if line.url != endpoint:
        raise BadRequest(
            f"'url' must be the batch's endpoint, {endpoint}.", code="mismatched_url", param="url"
        )
    if line.body.get("stream"):
        raise BadRequest(
            "'body.stream' must be left out: a batch's answers come as a file.",
            code="unsupported_parameter",
            param="body.stream",
        )
    if line.body.get("conversation") is not None:
        raise field.unsupported("body.conversation", "a batch's lines have no order.")
    create = _read(line.body, endpoint)
    if not create.generate:
        raise field.unsupported("body.generate", "a batch has nothing to warm up.")
    if create.choices > 1:
        raise field.unsupported("body.n", "in a batch, write a line for each answer.")
    for reference in create.references:
        raise field.unsupported(reference.param, "in a batch, send the text of the answer.")
    return line.custom_id, create


def _read(body: Body, endpoint: str) -> Create:
    if endpoint == CHAT:
        asked_chat = read_chat(body)
        if asked_chat.functions:
            raise field.unsupported("body.functions", "in a batch, use 'tools'.")
        return asked_chat.create
    if endpoint == RESPONSES:
        return read_create(body)
    asked = read_completion(body)
    if len(asked.creates) > 1:
        raise field.unsupported("body.prompt", "in a batch, each line has one prompt.")
    if any(asked.echoes):
        raise field.unsupported("body.echo", "the prompt is in the batch's own file.")
    return asked.creates[0]
