"""`/v1/batches`: batches, as the wire says them."""

import re
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.batch import Batch, Plan
from turnstream.turns.errors import BadRequest
from turnstream.ws_server import field
from turnstream.ws_server.access import owner_of
from turnstream.ws_server.batches.bodies import (
    BatchBody,
    BatchList,
    BatchUsage,
    Problems,
    RequestCounts,
)
from turnstream.ws_server.batches.files import KEPT_SECONDS
from turnstream.ws_server.batches.service import BatchService
from turnstream.ws_server.bodies import PromptTokensDetails
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.field import Body
from turnstream.ws_server.http import read_body
from turnstream.ws_server.wire import json_response

_WINDOW = re.compile(r"([1-9]\d{0,5})([mhd])")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 24 * 3600}
_LONGEST_WINDOW = 7 * 24 * 3600


def batch_body(batch: Batch) -> BatchBody:
    """Write a batch for the wire."""
    plan = batch.plan
    moments = batch.moments
    return BatchBody(
        id=batch.id,
        endpoint=plan.endpoint,
        errors=Problems(data=tuple(batch.problems)) if batch.problems else None,
        input_file_id=plan.input_file_id,
        completion_window=plan.completion_window,
        status=batch.status,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        created_at=plan.created_at,
        expires_at=plan.expires_at,
        request_counts=RequestCounts(
            total=batch.total, completed=batch.completed, failed=batch.failed
        ),
        metadata=plan.metadata,
        model=batch.model,
        usage=BatchUsage(
            input_tokens=batch.input_tokens,
            input_tokens_details=PromptTokensDetails(cached_tokens=batch.cached_tokens),
            output_tokens=batch.output_tokens,
            total_tokens=batch.input_tokens + batch.output_tokens,
        ),
        in_progress_at=moments.get("in_progress_at"),
        finalizing_at=moments.get("finalizing_at"),
        completed_at=moments.get("completed_at"),
        failed_at=moments.get("failed_at"),
        expired_at=moments.get("expired_at"),
        cancelling_at=moments.get("cancelling_at"),
        cancelled_at=moments.get("cancelled_at"),
    )


async def create_batch(request: Request) -> Response:
    """`POST /v1/batches`: have a file's requests answered."""
    owner = owner_of(request)
    service: BatchService = request.app.state.batches
    service.owners.of(owner).check_tier("batch")
    body = read_json(await read_body(request))
    plan = _plan(body, service.file_seconds)
    file = await service.files.get(plan.input_file_id, owner)
    if file.purpose != "batch":
        raise field.wrong("input_file_id", "a file that was uploaded for the purpose 'batch'")
    batch = await service.store.create(owner, plan, request.headers.get("idempotency-key"))
    service.runners.wake()
    return json_response(batch_body(batch))


async def list_batches(request: Request) -> Response:
    """`GET /v1/batches`: the owner's, newest first."""
    owner = owner_of(request)
    service: BatchService = request.app.state.batches
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    found, more = await service.store.page(owner, after=query.get("after"), limit=limit)
    return json_response(BatchList.of([batch_body(batch) for batch in found], more=more))


async def get_batch(request: Request) -> Response:
    """`GET /v1/batches/ID`: how it stands."""
    owner = owner_of(request)
    service: BatchService = request.app.state.batches
    return json_response(batch_body(await service.store.get(request.path_params["id"], owner)))


async def cancel_batch(request: Request) -> Response:
    """`POST /v1/batches/ID/cancel`: answer no further request; finished ones are kept."""
    owner = owner_of(request)
    service: BatchService = request.app.state.batches
    return json_response(batch_body(await service.store.cancel(request.path_params["id"], owner)))


def _plan(body: Body, kept_seconds: int) -> Plan:
    window = _required(body, "completion_window")
    match = _WINDOW.fullmatch(window)
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_WINDOW:
        raise field.wrong("completion_window", "a time of at most seven days, such as 24h")
    now = int(time.time())
    return Plan(
        endpoint=_required(body, "endpoint"),
        input_file_id=_required(body, "input_file_id"),
        completion_window=window,
        metadata=field.metadata(body) or None,
        created_at=now,
        expires_at=now + seconds,
        output_seconds=_output_seconds(body.get("output_expires_after"), kept_seconds),
    )


def _required(body: Body, name: str) -> str:
    value = field.text(body, name)
    if value is None:
        raise BadRequest(f"'{name}' is missing.", code="missing_required_parameter", param=name)
    return value


def _output_seconds(value: Any, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, dict) or value.get("anchor") != "created_at":
        raise field.wrong("output_expires_after", "an object whose anchor is created_at")
    least, most = KEPT_SECONDS
    seconds = field.whole(value, "seconds", least=least, most=most)
    return default if seconds is None else seconds
