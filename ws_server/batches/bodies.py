"""The JSON bodies of files and batches."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from turnstream.turns.batch import Status
from turnstream.turns.shapes import Count, OutputTokensDetails, Problem, Seconds
from turnstream.ws_server.bodies import ListPage, PromptTokensDetails

FileId = Annotated[str, Meta(extra_json_schema={"pattern": "^file-[0-9a-f]{32}$"})]
BatchId = Annotated[str, Meta(extra_json_schema={"pattern": "^batch_[0-9a-f]{32}$"})]


class FileBody(Struct, frozen=True, kw_only=True):
    """A file of requests or of results."""

    id: FileId
    object: Literal["file"] = "file"
    bytes: Count
    created_at: Seconds
    expires_at: Seconds
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"


class FileList(ListPage[FileBody, FileId], frozen=True, kw_only=True):
    """A page of files."""


class FileDeleted(Struct, frozen=True, kw_only=True):
    """A file was deleted."""

    id: FileId
    object: Literal["file"] = "file"
    deleted: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class Problems(Struct, frozen=True, kw_only=True):
    """The problems of a batch's file."""

    object: Literal["list"] = "list"
    data: tuple[Problem, ...]


class RequestCounts(Struct, frozen=True, kw_only=True):
    """How many requests a batch has, and how many have ended."""

    total: Count
    completed: Count
    failed: Count


class BatchUsage(Struct, frozen=True, kw_only=True):
    """Tokens of all answers of a batch."""

    input_tokens: Count
    input_tokens_details: PromptTokensDetails
    output_tokens: Count
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: Count


class BatchBody(Struct, frozen=True, kw_only=True):
    """A batch, with the time at which it reached each status."""

    id: BatchId
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: Problems | None
    input_file_id: str
    completion_window: str
    status: Status
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


class BatchList(ListPage[BatchBody, BatchId], frozen=True, kw_only=True):
    """A page of batches."""
