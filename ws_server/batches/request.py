"""Reads one line of a batch's file: a request in the form that the endpoint itself takes."""

from dataclasses import dataclass

from turnstream.turns.errors import BadRequest
from turnstream.ws_server import field
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.decode import read_json

RESPONSES = "/v1/responses"
CHAT = "/v1/chat/completions"
#: Endpoints of a batch's requests.
ENDPOINTS = (RESPONSES, CHAT)
_LONGEST_ID = 512


@dataclass(frozen=True, slots=True)
class LineRequest:
    """A valid line."""

    #: Identifies its result.
    custom_id: str
    create: Create


def read_request(text: bytes | None, endpoint: str) -> LineRequest:
    """Read and check a line.

    Raises:
        BadRequest: it is not a request for this endpoint; it says which field is wrong.
    """
    if text is None:
        raise BadRequest("This line is too long.", code="line_too_long")
    line = read_json(text)
    custom_id = field.text(line, "custom_id")
    if custom_id is None:
        raise BadRequest(
            "'custom_id' is missing.", code="missing_required_parameter", param="custom_id"
        )
    if not 1 <= len(custom_id) <= _LONGEST_ID:
        raise field.wrong("custom_id", f"1 to {_LONGEST_ID} characters long")
    if line.get("method") != "POST":
        raise BadRequest("'method' must be POST.", code="invalid_method", param="method")
    if line.get("url") != endpoint:
        raise BadRequest(
            f"'url' must be the batch's endpoint, {endpoint}.", code="mismatched_url", param="url"
        )
    body = line.get("body")
    if not isinstance(body, dict):
        raise field.wrong("body", "an object")
    if body.get("stream"):
        raise BadRequest(
            "'body.stream' must be left out: a batch's answers come as a file.",
            code="unsupported_parameter",
            param="body.stream",
        )
    create = read_chat(body).create if endpoint == CHAT else read_create(body)
    if not create.generate:
        raise field.unsupported("body.generate", "there is nothing to warm up in a batch.")
    for reference in create.references:
        raise field.unsupported(reference.param, "say in a batch what was answered.")
    return LineRequest(custom_id, create)
