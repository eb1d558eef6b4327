"""Makes the event of a test delivery: as a real one, of something that does not exist."""

import json
import secrets
import time


def sample(event_type: str) -> tuple[str, bytes]:
    """Return the id and the body of a sample event."""
    event = f"evt_test_{secrets.token_hex(8)}"
    kind = "batch" if event_type.startswith("batch.") else "resp"
    body = {
        "id": event,
        "object": "event",
        "created_at": int(time.time()),
        "type": event_type,
        "data": {"id": f"{kind}_test_{secrets.token_hex(8)}"},
    }
    return event, json.dumps(body, separators=(",", ":")).encode()
