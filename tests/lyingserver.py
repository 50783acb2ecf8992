"""A server of HTTP that answers each request as a test wants it.

with liar(lambda request: request.answer(b"", 500)) as url:
    ...
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Liar", "liar"]

_PATIENCE = 30


class Liar(BaseHTTPRequestHandler):
    """Answers each request by what the server's ``lie`` does with it."""

    def do_GET(self) -> None:
        assert isinstance(self.server, LyingServer)
        self.server.lie(self)

    do_PUT = do_HEAD = do_GET  # noqa: N815 -- the names are the library's

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class LyingServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, lie: Callable[[Liar], None]) -> None:
        super().__init__(("127.0.0.1", 0), Liar)
        self.lie = lie
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, object]:
        """Note the connection, so that it can be ended."""
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def hang_up(self) -> None:
        """End all that goes on, here and where it is waited for."""
        for connection in self.connections:
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Say nothing: the client hung up."""


@contextmanager
def liar(lie: Callable[[Liar], None]) -> Iterator[str]:
    """Serve until the ``with`` is left; no thread that it came to goes on then."""
    before = set(threading.enumerate())
    server = LyingServer(lie)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
        for one in set(threading.enumerate()) - before:
            one.join(_PATIENCE)
            assert not one.is_alive(), one
