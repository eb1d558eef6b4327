"""What the connections of a node share: limits, counts, and who is trusted as a proxy."""

from turnstream.turns.errors import Overloaded
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.connections.counts import Counts, Permits
from turnstream.ws_server.connections.limits import ConnectionLimits
from turnstream.ws_server.connections.proxies import Networks, Proxies, group
from turnstream.ws_server.request_errors import TooManyConnections

#: Key of the address that a request comes from in its ASGI scope; `client` there is the peer's.
ADDRESS = "address"
_ALL = ""


class Admission:
    """Decide which connections and requests are taken."""

    def __init__(self, limits: ConnectionLimits, trusted: Networks) -> None:
        self.limits = limits
        self.proxies = Proxies(trusted)
        self._connections = Counts(limits.total)
        self._addresses = Counts(limits.per_address)
        #: Messages of WebSockets that are still arriving, by address.
        self.arriving = ByteRoom(limits.node_bytes, "The messages that are arriving")

    def connect(self, peer: str) -> Permits:
        """Count a new connection.

        Raises:
            Overloaded: the node has as many as it may have.
            TooManyConnections: the address has.
        """
        permits = Permits()
        if not permits.take(self._connections, _ALL):
            raise Overloaded(f"This node has {self._connections.most} connections, its maximum.")
        # Of a proxy it is not known yet who connects through it.
        if not self.proxies.trusts(peer):
            try:
                self._take_address(permits, group(peer))
            except TooManyConnections:
                permits.release()
                raise
        return permits

    def request(self, permits: Permits, peer: str, address: str) -> None:
        """Count a request, or a WebSocket, that came through a proxy.

        Raises:
            TooManyConnections: the address has as many as it may have.
        """
        if self.proxies.trusts(peer):
            self._take_address(permits, address)

    def _take_address(self, permits: Permits, address: str) -> None:
        if not permits.take(self._addresses, address):
            raise TooManyConnections("address", self._addresses.most)
