"""Parses the command line and runs one command.

An option sets the `TURNSTREAM_*` variable of the same name; the commands read their settings from
the environment only.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from turnstream.cli.console import BAD_SETTING
from turnstream.cli.keys_parser import add_keys
from turnstream.cli.loadtest.options import add_loadtest
from turnstream.cli.operator_options import add_operator_commands
from turnstream.cli.plan_parser import add_plan
from turnstream.turns.environment import PREFIX, SettingError


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_SETTING, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = make_parser()
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    settings = {name: options.pop(name) for name in list(options) if name.startswith(PREFIX)}
    os.environ.update({name: _text(value) for name, value in settings.items() if value is not None})
    try:
        return start(command, options)
    except SettingError as exc:
        print(f"turnstream {command}: {exc}", file=sys.stderr)
        return BAD_SETTING


def _text(value: object) -> str:
    """Return an option as its variable has it; one that was given several times, with commas."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def start(command: str, options: Mapping[str, Any]) -> int:
    """Run a command; import only what it needs, because `serve` must not load torch."""
    match command:
        case "up":
            from turnstream.cli import up

            return up.run()
        case "serve":
            from turnstream.cli import serve

            return serve.run()
        case "worker":
            from turnstream.workers import main as worker

            return worker.run()
        case "chat":
            from turnstream.cli.chat import main as chat

            return chat.run(chat.Options(**options))
        case "bulk":
            from turnstream.cli import bulk

            return bulk.run(bulk.Options(**options))
        case "loadtest":
            from turnstream.cli.loadtest import main as loadtest
            from turnstream.cli.loadtest.options import Options

            return loadtest.run(Options.of(dict(options)))
        case "plan":
            from turnstream.cli import plan

            return plan.run(plan.Options(**options))
        case "keys":
            from turnstream.cli import keys

            return keys.run(keys.Options(**{**options, "limits": tuple(options.get("limits", ()))}))
        case "check-engine" | "check-gpu":
            from turnstream.cli import check_engine

            device = "cuda" if command == "check-gpu" else "cpu"
            return check_engine.run(check_engine.Options(**options), device=device)
        case "status" | "turns" | "workers" | "webhooks":
            module = import_module(f"turnstream.cli.{command}")
            code: int = module.run(module.Options(**options))
            return code
    raise AssertionError(command)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands and their options."""
    parser = OneLineParser(
        prog="turnstream", description="Chat turns over a WebSocket, answered by Llama 2."
    )
    parser.add_argument("--version", action="version", version=f"turnstream {installed_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start everything: Redis, workers and the front end")
    add_listen_options(up)
    option(up, "--data-dir", "DIR", "where the private Redis keeps its data")
    up.add_argument(
        "--model",
        dest="TURNSTREAM_MODEL",
        action="append",
        metavar="[NAME=]demo|smollm2|PATH|NAME",
        help="the model to answer with (demo); again for each further model",
    )
    option(up, "--workers", "N", "worker processes of each model (1)", whole(1, 64))
    option(up, "--redis-url", "URL", "use this Redis instead of starting one")
    add_engine_options(up)

    serve = commands.add_parser("serve", help="the front end alone")
    add_listen_options(serve)
    option(serve, "--redis-url", "URL", "where Redis is")
    option(serve, "--model", "NAME", "the model of requests that name none (demo)")
    option(serve, "--node", "NAME", "the name of this front end, unique among all nodes")

    worker = commands.add_parser("worker", help="one worker: an engine and a Celery worker")
    option(worker, "--redis-url", "URL", "where Redis is")
    option(worker, "--model", "demo|smollm2|PATH|NAME", "the model to answer with (demo)")
    option(
        worker,
        "--worker-index",
        "N",
        "the number of this worker among those of its model (one that no other has)",
        whole(0, 9999),
    )
    add_engine_options(worker)

    add_check(commands.add_parser("check-gpu", help="check and measure the engine on a GPU"))
    add_check(commands.add_parser("check-engine", help="the same on a CPU"))

    loadtest = commands.add_parser("loadtest", help="people who arrive, talk and check every word")
    add_server_options(loadtest)
    add_loadtest(loadtest)

    add_plan(
        commands.add_parser("plan", help="what a model takes and serves, from its config alone")
    )
    add_keys(commands.add_parser("keys", help="make, list and revoke API keys while it runs"))

    chat = commands.add_parser("chat", help="talk to a running server from the terminal")
    add_server_options(chat)
    option(
        chat,
        "--model",
        "NAME",
        "the model to use (the server's default)",
        # TURNSTREAM_MODEL may be a path, and requests name models only.
        variable="TURNSTREAM_CHAT_MODEL",
    )
    option(
        chat,
        "--system",
        "TEXT",
        "the system text (the server's)",
        variable="TURNSTREAM_CHAT_SYSTEM",
    )
    option(
        chat,
        "--temperature",
        "0-2",
        "the temperature (the model's)",
        variable="TURNSTREAM_CHAT_TEMPERATURE",
    )
    chat.add_argument(
        "-c",
        "--continue",
        dest="resume",
        action="store_true",
        help="go on with the latest conversation",
    )

    bulk = commands.add_parser("bulk", help="answer a file of requests, line by line")
    bulk.add_argument(
        "requests", metavar="IN.jsonl", type=Path, help="a file with one request a line"
    )
    bulk.add_argument(
        "-o",
        dest="out",
        metavar="OUT.jsonl",
        type=Path,
        required=True,
        help="the file of results, which must not exist",
    )
    bulk.add_argument(
        "--endpoint",
        choices=("/v1/responses", "/v1/chat/completions", "/v1/completions"),
        default="/v1/responses",
        help="the endpoint of all requests (/v1/responses)",
    )
    bulk.add_argument(
        "--window",
        metavar="TIME",
        default="24h",
        help="time after which unanswered lines fail (24h)",
    )
    bulk.add_argument(
        "--ordered", action="store_true", help="write results in the order of their requests"
    )
    bulk.add_argument(
        "--local", action="store_true", help="start a service for this run and use it"
    )
    add_server_options(bulk)
    option(bulk, "--model", "demo|PATH|NAME", "with --local: the model to answer with (demo)")
    add_operator_commands(commands, option, whole)
    return parser


def add_listen_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a front end's address."""
    option(parser, "--host", "HOST", "the address to listen on (127.0.0.1)")
    option(parser, "--port", "PORT", "the port to listen on (8000)", whole(0, 65535))
    option(parser, "--processes", "N", "front-end processes on that port (1)", whole(1, 256))


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a client."""
    option(parser, "--url", "URL", "the server (http://127.0.0.1:8000)")
    option(
        parser,
        "--key",
        "KEY",
        "the API key; better set TURNSTREAM_KEY, which the process list does not show",
    )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a worker's engine."""
    option(parser, "--engine", "ENGINE", "the engine: slot, vllm or remote (slot)")
    option(parser, "--device", "DEVICE", "auto, cpu, cuda, cuda:1 … (auto)")
    option(parser, "--dtype", "DTYPE", "auto, float32, bfloat16 or float16 (auto)")
    option(parser, "--chat-template", "FILE", "a chat template in Jinja (the tokenizer's own)")
    option(parser, "--lora-base", "PATH|NAME", "the base of a model that is a LoRA adapter")
    option(parser, "--quantize", "BITS", "round the weights to int4 or int8 (none)")
    option(parser, "--slots", "N", "turns that an engine answers at the same time", whole(1, 4096))


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the options of a check of the engine."""
    option(parser, "--model", "demo|PATH|NAME", "the model to check with (demo)")
    option(parser, "--device", "DEVICE", "cpu, cuda, cuda:1 …")
    option(parser, "--dtype", "DTYPE", "auto, float32, bfloat16 or float16 (auto)")
    option(parser, "--lora-base", "PATH|NAME", "the base of a model that is a LoRA adapter")
    option(parser, "--quantize", "BITS", "round the weights to int4 or int8 (none)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the report there")


def option(
    parser: argparse.ArgumentParser,
    flag: str,
    metavar: str,
    meaning: str,
    convert: Callable[[str], object] = str,
    *,
    variable: str | None = None,
) -> None:
    """Add an option that sets `variable`, by default the variable of the same name."""
    variable = variable or "TURNSTREAM_" + flag.removeprefix("--").replace("-", "_").upper()
    parser.add_argument(flag, dest=variable, metavar=metavar, help=meaning, type=convert)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a converter for whole numbers within bounds."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} to {most}, not {text!r}"
            )
        return int(text)

    return convert


def installed_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return version("turnstream")
    except PackageNotFoundError:
        return "(not installed)"
