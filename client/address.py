"""Where a service is: one address for its socket and its HTTP paths."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_HTTP = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Address:
    """A service's address; with or without `/v1`, and perhaps below a path."""

    #: As it was given.
    url: str

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValueError: it is no address of a service.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in _HTTP or not parts.hostname:
            raise ValueError(f"must be an http:// address, not {self.url!r}")

    @property
    def http(self) -> str:
        """The address for HTTP, without `/v1`."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/").removesuffix("/v1")
        return urlunsplit((_HTTP[parts.scheme], parts.netloc, path, "", ""))

    @property
    def socket(self) -> str:
        """The address of the WebSocket."""
        return self.http.replace("http", "ws", 1) + "/v1/responses"
