"""An attempt goes to the address that was checked, and only to who proves to be the host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.tls import TlsProxy
from harness.webhook_receiver import WebhookReceiver
from turnstream.ws_server.webhooks.sender import NotSent, Sender

SECRETS = ["whsec_eHg="]


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as receiver:
        yield receiver


async def test_nothing_is_sent_to_a_name_of_a_private_address(receiver: WebhookReceiver) -> None:
    port = receiver.url.rpartition(":")[2]
    async with Sender("public") as public:
        for url in (f"https://localhost:{port}", f"https://127.0.0.1:{port}", receiver.url):
            with pytest.raises(NotSent, match=r"not public|private|https"):
                await public.post(url, "evt_1", b"{}", SECRETS)
    assert receiver.received == []


async def test_the_address_that_was_checked_is_the_one_that_is_used(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr("turnstream.ws_server.webhooks.sender.socket.getaddrinfo", rebinding)
    url = receiver.url.replace("127.0.0.1", "hook.invalid")
    async with Sender("any") as anywhere:
        assert await anywhere.post(url, "evt_1", b"{}", SECRETS) == 200

    assert asked == ["hook.invalid"]
    assert receiver.received[0].headers["host"].startswith("hook.invalid:")


async def test_a_certificate_must_be_trusted_and_for_the_name(
    receiver: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TlsProxy(tmp_path, int(receiver.url.rpartition(":")[2].partition("/")[0])) as proxy:
        async with Sender("any") as stranger:
            with pytest.raises(NotSent, match="certificate"):
                await stranger.post(f"https://127.0.0.1:{proxy.port}/", "evt_1", b"{}", SECRETS)
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
        async with Sender("any") as friend:
            answered = await friend.post(
                f"https://127.0.0.1:{proxy.port}/", "evt_1", b"{}", SECRETS
            )
            assert answered == 200
            with pytest.raises(NotSent, match="certificate"):
                await friend.post(f"https://localhost:{proxy.port}/", "evt_1", b"{}", SECRETS)
    assert len(receiver.received) == 1
