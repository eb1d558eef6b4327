"""What `turnstream chat` says in words: a place in the queue, the end of an answer, errors."""

import json

from turnstream.cli.console import BAD_SETTING, INCOMPLETE
from turnstream.client import ClientError, QueuePlace, RequestRefused, Response, ToolCall

#: Characters of a call's arguments that are shown.
SHOWN_ARGUMENTS = 200


def place(queue: QueuePlace) -> str:
    """Return where a turn waits."""
    if queue.workers == 0:
        return "waiting: no worker is running"
    where = "you are next" if queue.position == 1 else f"place {queue.position} of {queue.size}"
    return f"in the queue: {where}{_eta(queue.eta_seconds)}"


def _eta(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return ", any moment"
    if seconds < 90:
        return f", about {round(seconds)} s"
    return f", about {round(seconds / 60)} min"


def end(response: Response) -> str:
    """Return what is to be said of a response beside its text; empty if it is complete."""
    match response:
        case Response(status="failed", error_message=message):
            return f"The answer failed: {message or 'no reason was given'}"
        case Response(status="cancelled"):
            return "The answer was stopped."
        case Response(incomplete_reason="max_output_tokens"):
            return "The answer was cut: it reached the most tokens that it may have."
        case Response(incomplete_reason="steered"):
            return ""
        case Response(status="incomplete", incomplete_reason=reason):
            return f"The answer is incomplete: {reason or 'no reason was given'}."
    return ""


def call(called: ToolCall) -> str:
    """Return a call of a tool as a sentence."""
    try:
        arguments = json.loads(called.arguments)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        said = called.arguments
    else:
        said = ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in arguments.items())
    if len(said) > SHOWN_ARGUMENTS:
        said = said[:SHOWN_ARGUMENTS] + " …"
    return f"The model calls the tool {called.name}({said})."


def exit_code_of(response: Response) -> int:
    """Return the exit code for an answer."""
    if response.status == "completed":
        return 0
    return 1 if response.status == "failed" else INCOMPLETE


def exit_code_of_error(error: ClientError) -> int:
    """Return the exit code for an error: 2 if repeating the command can't help."""
    refused = isinstance(error, RequestRefused) and error.status < 500 and error.status != 429
    return BAD_SETTING if refused else 1
