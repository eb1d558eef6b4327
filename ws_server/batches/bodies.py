"""The shapes of files and batches on the wire; see `ws_server/bodies.py`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from typing_extensions import TypeAliasType, TypedDict

from turnstream.turns.batch import Status
from turnstream.turns.shapes import Count, OutputTokensDetails, Problem, Seconds, Words
from turnstream.ws_server.bodies import PromptTokensDetails
from turnstream.ws_server.list_page import ListPage
from turnstream.ws_server.requests import Metadata

FileId = Annotated[str, Words(pattern="^file-[0-9a-f]{32}$")]
BatchId = Annotated[str, Words(pattern="^batch_[0-9a-f]{32}$")]


class FileBody(TypedDict):
    """A file of requests, or of answers."""

    id: FileId
    object: Literal["file"]
    bytes: Count
    created_at: Seconds
    expires_at: Seconds
    filename: str
    purpose: str
    status: Literal["processed"]


FileList = TypeAliasType("FileList", ListPage[FileBody, FileId])


class FileDeleted(TypedDict):
    """A file was deleted."""

    id: FileId
    object: Literal["file"]
    deleted: Literal[True]


class Problems(TypedDict):
    """The problems for which a batch's file was refused."""

    object: Literal["list"]
    data: list[Problem]


class RequestCounts(TypedDict):
    """How many requests a batch has, and how many have their result."""

    total: Count
    completed: Count
    failed: Count


class BatchUsage(TypedDict):
    """Numbers of tokens, of all answers together."""

    input_tokens: Count
    input_tokens_details: PromptTokensDetails
    output_tokens: Count
    output_tokens_details: OutputTokensDetails
    total_tokens: Count


class BatchBody(TypedDict):
    """A batch, with the time of each status."""

    id: BatchId
    object: Literal["batch"]
    endpoint: str
    errors: Problems | None
    input_file_id: str
    completion_window: str
    status: Annotated[str, Words(enum=[str(status) for status in Status])]
    output_file_id: FileId | None
    error_file_id: FileId | None
    created_at: Seconds
    expires_at: Seconds
    request_counts: RequestCounts
    metadata: dict[str, str] | None
    model: str | None
    usage: BatchUsage | None
    in_progress_at: Seconds | None
    finalizing_at: Seconds | None
    completed_at: Seconds | None
    failed_at: Seconds | None
    expired_at: Seconds | None
    cancelling_at: Seconds | None
    cancelled_at: Seconds | None


BatchList = TypeAliasType("BatchList", ListPage[BatchBody, BatchId])


class OutputExpiry(Struct, frozen=True):
    """How long a batch's output is kept."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)] | None = None


class BatchRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/batches`."""

    input_file_id: str
    endpoint: str
    #: A number of minutes, hours or days: at most seven days.
    completion_window: Annotated[str, Meta(extra_json_schema={"pattern": "^[1-9][0-9]{0,5}[mhd]$"})]
    metadata: Metadata = None
    output_expires_after: OutputExpiry | None = None


class FileForm(Struct, frozen=True, kw_only=True):
    """The form of `POST /v1/files`."""

    purpose: Literal["batch"]
    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
