"""How much of a model is loaded, as others read it."""

from turnstream.turns import keys
from turnstream.turns.connection import connect
from turnstream.turns.loading import EXPIRES_SECONDS, LoadingProgress
from turnstream.turns.settings import TurnSettings


def test_progress_is_written_in_percent_and_expires(settings: TurnSettings) -> None:
    client = connect(settings.redis_url)
    progress = LoadingProgress(client, "mine")
    progress.report(0.429)
    # Just after the first one, so it is not written.
    progress.report(0.5)

    assert client.get(keys.loading("mine")) == b"42"
    assert 0 < client.ttl(keys.loading("mine")) <= EXPIRES_SECONDS
    client.close()


def test_a_redis_that_is_away_does_not_keep_a_model_from_loading() -> None:
    client = connect("redis://127.0.0.1:1/0")
    progress = LoadingProgress(client, "mine")
    progress.report(0.1)
    assert progress._next == float("inf")
    client.close()
