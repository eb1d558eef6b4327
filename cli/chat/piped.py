"""One answer as plain text: all of stdin is the message, stdout gets the text and nothing else.

What is to be said beside it goes to stderr; the exit code tells a script how it ended.
"""

import asyncio
import os
import sys

from turnstream.cli.chat import wording
from turnstream.cli.chat.settings import ChatSettings
from turnstream.cli.console import BAD_SETTING, BROKEN_PIPE, INTERRUPTED
from turnstream.client import AsyncClient, ClientError, CreateBody, TurnFailed


def run(settings: ChatSettings) -> int:
    """Answer stdin and return the exit code."""
    try:
        message = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as exc:
        byte = exc.object[exc.start]
        return _say(f"the input is not UTF-8: byte 0x{byte:02x} at {exc.start}", BAD_SETTING)
    except KeyboardInterrupt:
        return INTERRUPTED
    if not message.strip():
        return _say("the input is empty: there is nothing to answer", BAD_SETTING)
    body: CreateBody = {"input": message}
    if settings.model:
        body["model"] = settings.model
    if settings.system:
        body["instructions"] = settings.system
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    try:
        return asyncio.run(_answer(settings, body))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Or Python would complain at its end, when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except UnicodeEncodeError as exc:
        return _say(f"the output's encoding, {exc.encoding}, has no {exc.object[exc.start]!r}", 1)
    except ClientError as exc:
        return _say(str(exc), wording.exit_code_of_error(exc))


async def _answer(settings: ChatSettings, body: CreateBody) -> int:
    async with AsyncClient(settings.url, key=settings.key) as client:
        await client.connect(retry=False)
        turn = await client.create(**body)
        try:
            async for text in turn.slices():
                sys.stdout.write(text)
                sys.stdout.flush()
        except TurnFailed:
            pass  # said below
        except BaseException:
            # Nobody reads it any more.
            await turn.cancel()
            raise
        response = await turn.response()
    if not turn.text.endswith("\n"):
        print(flush=True)
    for called in response.calls:
        _say(wording.call(called), 0)
    if said := wording.end(response):
        _say(said, 0)
    return wording.exit_code_of(response)


def _say(text: str, code: int) -> int:
    print(f"turnstream chat: {text}", file=sys.stderr)
    return code
