"""Create, list, read and cancel batches: `/v1/batches`."""

import re
import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.batch import Batch, Plan
from turnstream.ws_server import field
from turnstream.ws_server.batches.bodies import (
    BatchBody,
    BatchList,
    BatchUsage,
    Problems,
    RequestCounts,
)
from turnstream.ws_server.bodies import PromptTokensDetails
from turnstream.ws_server.body import read_request
from turnstream.ws_server.decode import decode
from turnstream.ws_server.requests import BatchRequest
from turnstream.ws_server.state import admit, admit_visitor
from turnstream.ws_server.wire import json_response

_WINDOW = re.compile(r"([1-9]\d{0,5})([mhd])")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 24 * 3600}
_LONGEST_WINDOW = 7 * 24 * 3600


def batch_body(batch: Batch) -> BatchBody:
    """Return a batch's body on the wire."""
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
    state, visitor = await admit_visitor(request)
    visitor.check_unbound()
    visitor.check_tier("batch")
    owner, service = visitor.owner, state.batches
    service.owners.of(owner).check_tier("batch")
    asked = await read_request(request, partial(decode, kind=BatchRequest))
    plan = _plan(asked, service.file_seconds)
    file = await service.files.get(plan.input_file_id, owner)
    if file.purpose != "batch":
        raise field.wrong("input_file_id", "a file that was uploaded for the purpose 'batch'")
    batch = await service.store.create(owner, plan, request.headers.get("idempotency-key"))
    service.runners.wake()
    return json_response(batch_body(batch))


async def list_batches(request: Request) -> Response:
    """`GET /v1/batches`: the owner's, newest first."""
    state, owner = await admit(request)
    service = state.batches
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    found, more = await service.store.page(owner, after=query.get("after"), limit=limit)
    return json_response(BatchList.of([batch_body(batch) for batch in found], more=more))


async def get_batch(request: Request) -> Response:
    """`GET /v1/batches/ID`: how it stands."""
    state, owner = await admit(request)
    service = state.batches
    return json_response(batch_body(await service.store.get(request.path_params["id"], owner)))


async def cancel_batch(request: Request) -> Response:
    """`POST /v1/batches/ID/cancel`: answer no further request; finished ones are kept."""
    state, owner = await admit(request)
    service = state.batches
    return json_response(batch_body(await service.store.cancel(request.path_params["id"], owner)))


def _plan(asked: BatchRequest, kept_seconds: int) -> Plan:
    match = _WINDOW.fullmatch(asked.completion_window)
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_WINDOW:
        raise field.wrong("completion_window", "a time of at most seven days, such as 24h")
    expiry = asked.output_expires_after
    now = int(time.time())
    return Plan(
        endpoint=asked.endpoint,
        input_file_id=asked.input_file_id,
        completion_window=asked.completion_window,
        metadata=asked.metadata or None,
        created_at=now,
        expires_at=now + seconds,
        output_seconds=(expiry.seconds if expiry else None) or kept_seconds,
    )
