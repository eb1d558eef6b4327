"""Runs Autobahn's fuzzing client against our WebSockets and against the bare `websockets` library.

It fails if a case ends worse here than there. The client needs CPython 2.7 with
`autobahntestsuite`, which no environment of ours has: give the path of such a Python.

python -m scripts.autobahn PYTHON27 [--site FOLDER]
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.processes import end_on_sigterm
from turnstream.ws_server.connections.admission import Admission
from turnstream.ws_server.connections.limits import ConnectionLimits
from turnstream.ws_server.connections.server import Server
from turnstream.ws_server.serve import listen

#: The largest message of any case.
MESSAGE_BYTES = 16 * 1024 * 1024
#: Compression is off.
LEFT_OUT = ["12.*", "13.*"]
#: From best to worst.
ORDER = ("OK", "INFORMATIONAL", "UNIMPLEMENTED", "NON-STRICT", "WRONG CODE", "UNCLEAN", "FAILED")

RUN = """
import site, sys
site.addsitedir(sys.argv[2])
sys.argv = ["wstest", "-m", "fuzzingclient", "-s", sys.argv[1]]
from autobahntestsuite.wstest import run
run()
"""

Results = dict[str, dict[str, dict[str, Any]]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text, data = message.get("text"), message.get("bytes")
        await send({"type": "websocket.send", "text": text, "bytes": data})


async def echo_bare(connection: ServerConnection) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


async def fuzz(python: str, site: str, directory: Path) -> Results:
    """Run all cases against both servers; return their results by agent and case."""
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        echo,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = Server(config, listening, Admission(ConnectionLimits(), ()))
    async with (
        asyncio.TaskGroup() as tasks,
        serve(echo_bare, "127.0.0.1", 0, compression=None, max_size=MESSAGE_BYTES) as bare,
    ):
        tasks.create_task(server.serve())
        ports = {
            "turnstream": listening.getsockname()[1],
            "websockets": next(iter(bare.sockets)).getsockname()[1],
        }
        spec = {
            "outdir": str(directory),
            "servers": [
                {"agent": agent, "url": f"ws://127.0.0.1:{port}/"} for agent, port in ports.items()
            ],
            "cases": ["*"],
            "exclude-cases": LEFT_OUT,
            "exclude-agent-cases": {},
        }
        (directory / "spec.json").write_text(json.dumps(spec))
        command = (python, "-c", RUN, str(directory / "spec.json"), site)
        client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        try:
            await client.wait()
        finally:
            if client.returncode is None:
                client.terminate()
            server.should_exit = True
    results: Results = json.loads((directory / "index.json").read_text())
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="a Python 2.7 with autobahntestsuite")
    parser.add_argument("--site", default="", help="a folder where it is installed")
    options = parser.parse_args()
    end_on_sigterm()
    # The library logs a traceback for each violation.
    logging.getLogger("websockets").addHandler(logging.NullHandler())
    with TemporaryDirectory() as name:
        results = asyncio.run(fuzz(options.python, options.site, Path(name)))
    ours, bare = results["turnstream"], results["websockets"]
    worse = 0
    for case in ours:
        mine, theirs = ours[case]["behavior"], bare[case]["behavior"]
        if mine != theirs:
            worse += ORDER.index(mine) > ORDER.index(theirs)
            print(f"{case}: {mine}, the library {theirs}")
    for agent, cases in results.items():
        found = [case["behavior"] for case in cases.values()]
        print(agent, {kind: found.count(kind) for kind in ORDER if kind in found})
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main())
