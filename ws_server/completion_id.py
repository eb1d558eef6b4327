"""A completion's id: its response's with another beginning, and good wherever that is."""

_OURS, _THEIRS = "resp_", "chatcmpl-"


def completion_of(response_id: str) -> str:
    """Name the completion of a response."""
    return _THEIRS + response_id.removeprefix(_OURS)


def response_of(id: str) -> str:
    """Name the response that a client means by either id."""
    return _OURS + id.removeprefix(_THEIRS) if id.startswith(_THEIRS) else id
