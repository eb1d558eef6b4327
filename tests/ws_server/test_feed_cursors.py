"""A feed goes on after the cursor of an entry, over the socket and over HTTP."""

import httpx2

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.keyed_client import receive
from tests.ws_server.test_feeds import PREFIX, follow, read_stream, socket_at
from tests.ws_server.wire_client import answered, code_of


async def test_a_feed_goes_on_after_a_cursor_which_is_the_id_of_a_streamed_entry(
    node: str, worker: FakeWorker
) -> None:
    async with socket_at(node) as socket, httpx2.AsyncClient(base_url=node) as http:
        root = await answered(socket, worker)
        path = f"/v1/conversations/{root}/feed"
        async with http.stream("GET", path) as stream:
            ids: list[str] = []
            async for line in stream.aiter_lines():
                ids += [line.removeprefix("id: ")] * line.startswith("id: ")
                if len(ids) == 3:
                    break
        cursor = ids[1]
        for query, headers in (({"starting_after": cursor}, {}), ({}, {"last-event-id": cursor})):
            async with http.stream("GET", path, params=query, headers=headers) as stream:
                *_, entry = await read_stream(stream.aiter_lines(), f"{PREFIX}response.ended")
                assert entry["cursor"] == ids[2]
        await follow(socket, root, starting_after=cursor, responses=False)
        assert await receive(socket) == entry | {"stream_id": "feed"}

        other = cursor[:-1] + str(9 - int(cursor[-1]))
        assert code_of(await follow(socket, root, starting_after=other)) == ("stream_expired", 400)
        for wrong in ("1-", "-1-2", "1-2-3", "one-2", "9" * 16 + "-1"):
            said = await follow(socket, root, starting_after=wrong)
            assert said["error"]["param"] == "starting_after"
            refused = await http.get(path, params={"starting_after": wrong})
            assert (refused.status_code, refused.json()["error"]["param"]) == (
                400,
                "starting_after",
            )
