"""A stand-in for vLLM's server: each next token is a function of all tokens before it."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.ports import free_port

VOCABULARY = 100


def next_id(ids: Sequence[int]) -> int:
    return (31 * sum(ids) + len(ids)) % VOCABULARY


def answer_to(prompt: Sequence[int], tokens: int) -> list[int]:
    """Return what it answers."""
    ids = list(prompt)
    for _ in range(tokens):
        ids.append(next_id(ids))
    return ids[len(prompt) :]


class StandIn:
    """One server in a thread; its attributes change how it behaves."""

    def __init__(self, *, generate: bool = True, completions: bool = True, key: str = "") -> None:
        self.models: list[dict[str, Any]] = [{"id": "tiny", "max_model_len": 1000}]
        self.url = f"http://127.0.0.1:{free_port()}"
        #: Break the connection after so many tokens of an answer.
        self.breaks_after: int | None = None
        #: The status of answers, other than to probes.
        self.status = 200
        self.healthy = True
        self.answers = 0
        self.aborted = threading.Event()
        #: Tokens flow while it is set.
        self.flowing = threading.Event()
        self.flowing.set()
        #: Requests for streams, in their order.
        self.asked: list[dict[str, Any]] = []
        self._key = key
        routes = [Route("/health", self._health), Route("/v1/models", self._models)]
        if generate:
            routes.append(Route("/inference/v1/generate", self._generate, methods=["POST"]))
        if completions:
            routes.append(Route("/v1/completions", self._generate, methods=["POST"]))
        config = uvicorn.Config(
            Starlette(routes=routes),
            port=int(self.url.rpartition(":")[2]),
            log_level="critical",
            ws="none",
            timeout_graceful_shutdown=0,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.flowing.set()
        self._server.should_exit = True
        self._thread.join()

    async def _health(self, request: Request) -> Response:
        return Response(status_code=200 if self.healthy else 503)

    async def _models(self, request: Request) -> Response:
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            return JSONResponse({"error": "Unauthorized"}, 401)
        return JSONResponse({"data": self.models})

    async def _generate(self, request: Request) -> Response:
        body = await request.json()
        ids = list(body.get("token_ids") or body["prompt"])
        params = body.get("sampling_params", body)
        if not body.get("stream"):
            return JSONResponse({"choices": [{"token_ids": [next_id(ids)]}]})
        self.asked.append(body)
        if self.status != 200:
            return JSONResponse({"error": {"message": "so it is\nand more"}}, self.status)
        return StreamingResponse(self._stream(ids, params), media_type="text/event-stream")

    async def _stream(self, ids: list[int], params: dict[str, Any]) -> AsyncIterator[str]:
        try:
            for n in range(params["max_tokens"]):
                while not self.flowing.is_set():
                    await asyncio.sleep(0.01)
                if n == self.breaks_after:
                    raise ConnectionResetError
                ids.append(next_id(ids))
                last = n == params["max_tokens"] - 1
                choice = {"token_ids": ids[-1:], "finish_reason": "length" if last else None}
                yield f"data: {json.dumps({'choices': [choice]})}\n\n"
                await asyncio.sleep(0)
            usage = {"prompt_tokens_details": {"cached_tokens": 7}}
            yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.aborted.set()
            raise
