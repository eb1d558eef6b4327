"""Models whose workers are started on demand: their turns wait, and their readers are told."""

from tests.ws_server.conftest import Node

ASKED = {"input": "Hi", "model": "later", "background": True}


async def test_a_turn_of_a_declared_model_waits_for_its_first_worker_and_is_told_so(
    local_node: Node,
) -> None:
    async with local_node(MODELS="later, other") as http:
        ready = await http.get("/readyz?model=later")
        enough = await http.get("/readyz?model=later&workers=0")
        answer = await http.post("/v1/responses", json=ASKED)
        waiting = await http.get(f"/v1/responses/{answer.json()['id']}")
        listed = await http.get("/v1/models")

    assert ready.status_code == 503
    assert enough.status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert waiting.json()["queue"]["workers"] == 0
    assert {model["id"] for model in listed.json()["data"]} >= {"later", "other"}


async def test_a_model_that_is_not_declared_and_had_no_worker_is_not_found(
    local_node: Node,
) -> None:
    async with local_node() as http:
        answer = await http.post("/v1/responses", json=ASKED)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
