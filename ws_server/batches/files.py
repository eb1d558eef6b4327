"""`/v1/files`: upload, list, read and delete files, none of them whole in memory."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, closing, suppress

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive

from turnstream.turns.errors import BadRequest, FileNotFound, Overloaded, RateLimited
from turnstream.turns.files import File
from turnstream.ws_server import field
from turnstream.ws_server.batches.blobs import CHUNK
from turnstream.ws_server.batches.bodies import FileBody, FileDeleted, FileList
from turnstream.ws_server.batches.service import BatchService
from turnstream.ws_server.batches.uploads import Upload
from turnstream.ws_server.body import read_pieces
from turnstream.ws_server.connections.byte_room import Share
from turnstream.ws_server.request_errors import FileTooLarge
from turnstream.ws_server.state import admit, state_of
from turnstream.ws_server.wire import json_response

#: Memory of an upload beside its content, at most: pieces on their way into the form, what a
#: growing buffer has in reserve, and the piece that is written.
_BESIDE_BYTES = 384 * 1024
#: Bytes that go into the form at a time.
_PIECE = 64 * 1024
#: Bytes that the form may have beside its file.
_FORM_BYTES = 64 * 1024
#: Bounds of the time that a file is kept, if the request sets it.
KEPT_SECONDS = (3600, 30 * 24 * 3600)


def file_body(file: File) -> FileBody:
    """Write a file for the wire."""
    return FileBody(
        id=file.id,
        bytes=file.bytes,
        created_at=file.created_at,
        expires_at=file.expires_at,
        filename=file.filename,
        purpose=file.purpose,
    )


async def create_file(request: Request) -> Response:
    """`POST /v1/files`: take a file of requests."""
    state, owner = await admit(request)
    _check_charset(request)
    service = state.batches
    length = min(_length(request), service.file_bytes + _FORM_BYTES)
    with closing(state.requests.begin(owner)) as memory:
        # Before anything of it is read: what is refused holds nothing then.
        memory.take(_BESIDE_BYTES + min(length, MultiPartParser.spool_max_size))
        async with service.uploads.begin(owner, length) as upload:
            file = await _store(request, service, owner, upload, memory)
    return json_response(file_body(file))


async def _store(
    request: Request, service: BatchService, owner: str, upload: Upload, memory: Share
) -> File:
    most = service.file_bytes
    body = read_pieces(request, most + _FORM_BYTES, FileTooLarge(most))
    try:
        async with (
            # One that is refused half-way would keep its last piece until the garbage is collected.
            aclosing(body) as pieces,
            Request(request.scope, _receive(pieces, upload, memory)).form(
                max_files=1, max_fields=10, max_part_size=_FORM_BYTES
            ) as form,
        ):
            content = form.get("file")
            if not isinstance(content, UploadFile):
                raise BadRequest(
                    "'file' is missing.", code="missing_required_parameter", param="file"
                )
            fields = {name: str(value) for name, value in form.items() if name != "file"}
            if fields.get("purpose") != "batch":
                raise field.wrong("purpose", "batch: files for other purposes are not accepted")
            now = int(time.time())
            file = File(
                id=upload.id,
                owner=owner,
                filename=(content.filename or "file")[:255],
                purpose="batch",
                bytes=content.size or 0,
                created_at=now,
                expires_at=now + _kept_seconds(fields, service.file_seconds),
            )
            if file.bytes > most:
                raise FileTooLarge(most)
            if file.bytes == 0:
                raise BadRequest("The file is empty.", code="empty_file", param="file")
            await service.blobs.write(file.path, _content(content, upload))
    except HTTPException as exc:
        raise BadRequest(exc.detail, code="invalid_form") from exc
    except OSError as exc:
        raise Overloaded("The file can't be stored now. Try again in a moment.") from exc
    try:
        await upload.store(file)
    except RateLimited:
        with suppress(OSError):
            await service.blobs.delete(file.path)
        raise
    return file


async def list_files(request: Request) -> Response:
    """`GET /v1/files`: the owner's, newest first unless asked otherwise."""
    state, owner = await admit(request)
    service = state.batches
    query = request.query_params
    found, more = await service.files.page(
        owner,
        purpose=query.get("purpose"),
        after=query.get("after"),
        limit=field.whole_text(query.get("limit"), "limit", 10_000, least=1, most=10_000),
        newest_first=field.word(query, "order", "desc", ("asc", "desc")) == "desc",
    )
    return json_response(FileList.of([file_body(file) for file in found], more=more))


async def get_file(request: Request) -> Response:
    """`GET /v1/files/ID`: what is known of a file."""
    return json_response(file_body(await _file(request)))


async def get_file_content(request: Request) -> Response:
    """`GET /v1/files/ID/content`: the file itself."""
    service = state_of(request).batches
    file = await _file(request)
    try:
        length = await service.blobs.size(file.path)
    except FileNotFoundError as exc:
        raise FileNotFound(file.id) from exc
    except OSError as exc:
        raise Overloaded("The file can't be read now. Try again in a moment.") from exc
    kind, headers = "application/octet-stream", {"content-length": str(length)}
    if request.method == "HEAD":
        return Response(media_type=kind, headers=headers)
    return StreamingResponse(service.blobs.read(file.path), media_type=kind, headers=headers)


async def delete_file(request: Request) -> Response:
    """`DELETE /v1/files/ID`: forget a file and its content."""
    service = state_of(request).batches
    file = await _file(request)
    try:
        await service.blobs.delete(file.path)
    except OSError as exc:
        raise Overloaded("The file can't be removed now. Try again in a moment.") from exc
    await service.files.forget(file)
    return json_response(FileDeleted(id=file.id))


async def _file(request: Request) -> File:
    state, owner = await admit(request)
    service = state.batches
    return await service.files.get(request.path_params["id"], owner)


def _check_charset(request: Request) -> None:
    # Names in a form are decoded as the client says: punycode takes minutes for a megabyte.
    _, options = parse_options_header(request.headers.get("content-type"))
    charset = options.get(b"charset", b"utf-8").lower()
    if charset not in (b"utf-8", b"utf8"):
        raise BadRequest("A form's charset must be utf-8.", code="invalid_form")


def _length(request: Request) -> int:
    """Return the length of a body as the client says; 0 where that is not the form's length."""
    length = request.headers.get("content-length", "")
    encoded = request.headers.get("content-encoding", "identity").strip().lower() != "identity"
    return int(length) if length.isascii() and length.isdigit() and not encoded else 0


def _receive(pieces: AsyncIterator[bytes], upload: Upload, memory: Share) -> Receive:
    count = 0

    async def receive() -> Message:
        nonlocal count
        # As many as a thread is worth that writes them.
        gathered: list[bytes] = []
        begun = count
        while count - begun < _PIECE and (piece := await anext(pieces, None)) is not None:
            count += len(piece)
            # What is more goes to a temporary file.
            held = _BESIDE_BYTES + min(count, MultiPartParser.spool_max_size)
            memory.take(max(held - memory.bytes, 0))
            await upload.take(len(piece))
            gathered.append(piece)
        more = count - begun >= _PIECE
        return {"type": "http.request", "body": b"".join(gathered), "more_body": more}

    return receive


async def _content(content: UploadFile, upload: Upload) -> AsyncIterator[bytes]:
    while chunk := await content.read(CHUNK):
        yield chunk
        await upload.renew()


def _kept_seconds(fields: dict[str, str], default: int) -> int:
    anchor = fields.get("expires_after[anchor]")
    if anchor not in (None, "created_at"):
        raise field.wrong("expires_after[anchor]", "created_at")
    least, most = KEPT_SECONDS
    name = "expires_after[seconds]"
    return field.whole_text(fields.get(name), name, default, least=least, most=most)
