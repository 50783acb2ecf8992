"""A server of HTTP that answers each request as a test wants it.

with liar(lambda request: request.answer(b"", 500)) as url:
    ...
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Liar", "liar"]


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

    def handle_error(self, *_: object) -> None:
        """Say nothing: the client hung up."""


@contextmanager
def liar(lie: Callable[[Liar], None]) -> Iterator[str]:
    server = LyingServer(lie)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
