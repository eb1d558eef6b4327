"""`turnstream webhooks`, against a real Redis."""

import asyncio
import json
from collections.abc import Callable

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from standardwebhooks.webhooks import Webhook

from harness.webhook_receiver import WebhookReceiver
from turnstream.cli.main import main
from turnstream.turns import webhook_keys
from turnstream.turns.webhook_events import EVENT_TYPES

Run = Callable[..., tuple[int, str, str]]
URL = "https://example.com/hook"


@pytest.fixture
def webhooks(
    redis_url: str,
    redis: AsyncRedis,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run `turnstream webhooks` and return its exit code and output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("TURNSTREAM_REDIS_URL", redis_url)
        monkeypatch.setenv("COLUMNS", "200")
        code = main(["webhooks", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_an_endpoint_is_made_listed_and_deleted_and_its_secret_shown_once(webhooks: Run) -> None:
    code, secret, said = webhooks("create", "ann", URL, "--event", "batch.failed")
    assert (code, secret[:6]) == (0, "whsec_")
    facts = json.loads(webhooks("list", "ann", "--json")[1])
    assert facts["id"] in said
    assert (facts["name"], facts["url"]) == ("example.com", URL)
    assert facts["event_types"] == ["batch.failed"]
    assert secret.strip() not in webhooks("list", "ann")[1]
    assert facts["id"] in webhooks("list", "ann")[1]
    assert webhooks("list", "--json")[1] == ""

    rotated = json.loads(webhooks("rotate", facts["id"], "--keep-old", "--json")[1])
    assert rotated["signing_secret"] != secret.strip()

    assert webhooks("delete", facts["id"])[0] == 0
    assert webhooks("list", "ann", "--json")[1] == ""


def test_dead_letters_are_shown_and_sent_again(webhooks: Run, redis_url: str) -> None:
    made = json.loads(webhooks("create", "ann", URL, "--json")[1])
    assert made["event_types"] == list(EVENT_TYPES)
    id = made["id"]
    body = '{"id":"evt_1","type":"batch.failed","created_at":1800000000,"data":{"id":"batch_1"}}'
    tried = '{"count":11,"at":1800000100,"status":500,"error":"it answered 500"}'
    with Redis.from_url(redis_url, protocol=2) as redis:
        redis.hset(webhook_keys.webhook_payloads(id), "evt_1", body)
        redis.hset(webhook_keys.webhook_attempts(id), "evt_1", tried)
        redis.zadd(webhook_keys.webhook_dead_letters(id), {"evt_1": 1_800_000_100_000})

    dead = json.loads(webhooks("dead-letters", id, "--json")[1])
    assert (dead["event"], dead["object"]) == ("evt_1", "batch_1")
    assert dead["attempts"]["error"] == "it answered 500"
    assert "it answered 500" in webhooks("dead-letters", id)[1]
    assert "no dead letters" in webhooks("send-again", id, "evt_2")[2]

    assert webhooks("send-again", id)[1] == "1 will be sent again\n"

    assert webhooks("dead-letters", id, "--json")[1] == ""
    assert json.loads(webhooks("deliveries", id, "--json")[1])["attempts"]["count"] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("create", "a b", URL), "an owner is 1 to 64 letters"),
        (("create", "ann", "http://example.com"), "URL must be a URL that begins with https://"),
        (("create", "ann", "https://10.0.0.1/"), "private network"),
        (("delete", "we_1"), "there is no endpoint 'we_1'"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    webhooks: Run, arguments: tuple[str, ...], problem: str
) -> None:
    code, out, said = webhooks(*arguments)

    assert (code, out, len(said.splitlines())) == (2, "", 1)
    assert problem in said


def test_a_test_that_reaches_nobody_says_so(webhooks: Run) -> None:
    made = json.loads(webhooks("create", "ann", "https://localhost:9/", "--json")[1])

    code, _, said = webhooks("test", made["id"])

    assert (code, said) == (
        1,
        "turnstream webhooks test: not reached: no connection:"
        " localhost is not known, or has an address that is not public\n",
    )


async def test_a_test_sends_a_sample_and_tells_the_status(
    webhooks: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTREAM_WEBHOOKS", "any")
    async with WebhookReceiver() as receiver:
        made = json.loads(
            (await asyncio.to_thread(webhooks, "create", "ann", receiver.url, "--json"))[1]
        )
        sent = await asyncio.to_thread(webhooks, "test", made["id"], "--event", "batch.failed")
        receiver.answer = lambda _: 500
        refused = await asyncio.to_thread(webhooks, "test", made["id"], "--json")

    assert sent[:2] == (0, "it answered 200\n")
    assert refused[:2] == (1, '{"status_code":500}\n')
    [first, _] = receiver.received
    assert (
        Webhook(made["signing_secret"]).verify(first.body, first.headers)["type"] == "batch.failed"
    )
