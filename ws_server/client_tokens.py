"""`POST /v1/client_tokens`: make a short-lived key for a browser or a phone.

The server that has the key asks for one and hands it to its client, which so never sees the key.
"""

import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.errors import ResponseNotFound
from turnstream.turns.ids import is_conversation_id, is_response_id
from turnstream.ws_server.body import read_request
from turnstream.ws_server.decode import decode
from turnstream.ws_server.field import wrong
from turnstream.ws_server.frames import feed_id
from turnstream.ws_server.request_errors import ServerKeyRequired
from turnstream.ws_server.state import admit_visitor
from turnstream.ws_server.token_bodies import ClientToken, ClientTokenBody
from turnstream.ws_server.wire import json_response

#: How long a token lasts unless the request says otherwise.
SECONDS = 600


async def create_client_token(request: Request) -> Response:
    """`POST /v1/client_tokens`: make one, perhaps for one conversation or response only."""
    state, visitor = await admit_visitor(request)
    if visitor.is_token:
        raise ServerKeyRequired("Client tokens are made with a server's key.")
    asked = await read_request(request, partial(decode, kind=ClientTokenBody), empty=b"{}")
    named = {"conversation": asked.conversation, "response": asked.response, "feed": asked.feed}
    bound = [name for name, id in named.items() if id is not None]
    if len(bound) > 1:
        raise wrong(bound[1], f"absent beside '{bound[0]}'")
    client = state.turn_client
    conversation, response, feed = asked.conversation, asked.response, None
    if asked.conversation is not None:
        await client.conversations.get(asked.conversation, visitor.owner)
    if asked.response is not None:
        if not is_response_id(asked.response):
            raise ResponseNotFound(asked.response[:80])
        await client.stored.conversation_of(asked.response, visitor.owner)
    if asked.feed is not None:
        async with client.feeds.follow(feed_id(asked.feed), visitor.owner, after=-1) as found:
            feed = found.id
        conversation, response = (feed, None) if is_conversation_id(feed) else (None, feed)
    seconds = asked.expires_after.seconds if asked.expires_after is not None else SECONDS
    expires_at = int(time.time()) + seconds
    if visitor.key is not None and visitor.key.expires_at is not None:
        expires_at = min(expires_at, visitor.key.expires_at)
    text, token = await client.api_keys.create_token(
        visitor.key,
        client.limits.of(visitor.owner).client_tokens_per_minute,
        owner=visitor.owner,
        expires_at=expires_at,
        made_with=visitor.digest,
        conversation=conversation,
        response=response,
        follows=feed is not None,
    )
    made = ClientToken(
        value=text,
        created_at=token.created_at,
        expires_at=expires_at,
        conversation=asked.conversation,
        response=asked.response,
        feed=feed,
    )
    return json_response(made)
