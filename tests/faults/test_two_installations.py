"""Two services on one Redis, each with a user that may touch nothing of the other's."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import tiny_llama
from harness.ports import free_port
from harness.redis_server import RedisServer
from tests.faults.own_redis import asked, documented_user, eventually, running

pytestmark = pytest.mark.long

PASSWORD = "a-secret-word"
QUESTION = {"input": "Hi", "instructions": "Talk.", "max_output_tokens": 4}


def test_two_installations_share_one_redis_and_see_nothing_of_each_other(tmp_path: Path) -> None:
    model = f"tiny={tiny_llama.make(tmp_path / 'tiny')}"
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(tmp_path))
        urls, programs = {}, []
        for user in ("one", "two"):
            rule = documented_user(PASSWORD, key_prefix=f"{user}:")
            server.admin.execute_command(*rule.split())
            port = free_port()
            urls[user] = f"http://127.0.0.1:{port}"
            environ = {
                "TURNSTREAM_KEY_PREFIX": f"{user}:",
                "TURNSTREAM_MODEL": model,
                "TURNSTREAM_PROMPT": "llama-2-chat",
                "TURNSTREAM_PORT": str(port),
                "TURNSTREAM_FILES": str(tmp_path / user),
            }
            for command in ("serve", "worker"):
                url = server.url(f"{user}:{PASSWORD}@")
                programs.append(stack.enter_context(running(command, tmp_path, url, **environ)))
        for url in urls.values():
            eventually(lambda url=url: asked(f"{url}/readyz")[0] == 200, *programs)
        answers = {user: asked(f"{url}/v1/responses", QUESTION) for user, url in urls.items()}
        assert [status for status, _ in answers.values()] == [200, 200], answers
        ids = {user: answer["id"] for user, (_, answer) in answers.items()}
        other = asked(f"{urls['two']}/v1/responses/{ids['one']}")
        # Celery listens at both, each to its own keys.
        blocked = {
            client["user"] for client in server.admin.client_list() if client["cmd"] == "brpop"
        }
        refused = {
            entry[entry.index("object") + 1] for entry in server.admin.execute_command("ACL", "LOG")
        }
        found = server.admin.keys()

    assert other[0] == 404
    assert blocked == {"one", "two"}
    assert refused <= {"client", "client|setinfo", "auth", "AUTH"}
    assert [key for key in found if not key.startswith(("one:", "two:"))] == []
    assert {key for key in found if "_kombu.binding" in key} != set()
