"""An answer without a gap after a lost connection: pip install turnstream

The client reconnects and resumes by itself; docs/client.md says what else it does.
"""

import uuid

from turnstream.client import Client

with Client("http://127.0.0.1:8000", key="any") as client:
    turn = client.create(
        model="demo",
        input="Do you know the Titanic movie?",
        # A repeated request with the same key is answered once, also from another process.
        idempotency_key=str(uuid.uuid4()),
    )
    for text in turn.slices():
        print(text, end="", flush=True)
print()
