"""The protocol of a WebSocket: uvicorn's, with less memory for what its client does not take."""

from asyncio import Transport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: Unsent bytes in this process before a send waits; the kernel buffers as many again.
UNSENT_BYTES = 16 * 1024


class SocketProtocol(WebSocketsSansIOProtocol):
    """Serve one WebSocket."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin."""
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        super().connection_made(transport)
