"""What really goes over the network: a relay before a server that counts its bytes."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

_PART = 1 << 16


class Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to a port of this machine.

    `received` is what came back on connections to kernels, as the network carries it:
    with the frames of the WebSocket, compressed if that was agreed upon.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int = self.server_address[1]
        self.target = ("127.0.0.1", port)
        self.received = 0
        self._lock = threading.Lock()

    def count(self, size: int) -> None:
        """Add bytes that came from a kernel; any thread."""
        with self._lock:
            self.received += size

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser drops connections; that is nobody's fault."""


class _Connection(socketserver.BaseRequestHandler):
    server: Relay  # pyright: ignore[reportIncompatibleVariableOverride]
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as target:
            request = self.request.recv(_PART)
            target.sendall(request)
            # A request of its own begins each WebSocket.
            to_kernel = b"/channels?" in request.partition(b"\r\n")[0]
            note = self.server.count if to_kernel else _nobody
            back = threading.Thread(target=_pump, args=(target, self.request, note))
            back.start()
            _pump(self.request, target, _nobody)
            back.join()


def _nobody(_size: int) -> None:
    pass


def _pump(
    source: socket.socket, target: socket.socket, note: Callable[[int], None]
) -> None:
    """Pass everything on until an end closes, and note the size of each part."""
    with contextlib.suppress(OSError):
        while part := source.recv(_PART):
            target.sendall(part)
            note(len(part))
        target.shutdown(socket.SHUT_WR)


@contextmanager
def relay_to(port: int) -> Generator[Relay]:
    """A relay to a port, as long as the context lasts."""
    with Relay(port) as relay:
        serving = threading.Thread(target=relay.serve_forever)
        serving.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            serving.join()
