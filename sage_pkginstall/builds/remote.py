"""A cache that machines share: any HTTP server that takes GET, HEAD and PUT.

    URL/ac/KEY          what is known of a built wheel, or of what a backend asked for (JSON)
    URL/cas/SHA256      the wheel itself

The server is never needed: whatever it does or fails to do, there is a warning, and the wheel
is built.  One that does not answer is left alone for a while, by all processes of the user:

    CACHE/remote-down/HASH-OF-THE-URL     its mtime is when a request failed last
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
import time
from functools import partial
from urllib.parse import urljoin, urlsplit

from sage_pkginstall.builds.source_files import hash_file
from sage_pkginstall.builds.threads import started
from sage_pkginstall.user_cache import cache_directory, write_cached
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO, NoReturn, TypeVar

    import urllib3

    _T = TypeVar("_T")

__all__ = ["Remote", "RemoteSettings"]

_MAX_NOTE = 1 << 20  # bytes; what JSON may be at most
_MAX_WHEEL = 4 << 30
_BLOCK = 1 << 16
_FOUND = 200
_WRITTEN = frozenset((200, 201, 202, 204))
_ABSENT = frozenset((404, 410))
_TRY_AGAIN = frozenset((429, 500, 502, 503, 504))
_SEE_OTHER = 303
_LONGEST_WAY = 5  # redirections
_PAUSE = 0.1  # seconds before the second try
_HINT = "install urllib3 >= 2.2 (the extra 'remote') for the Python that runs this tool"


class RemoteSettings(NamedTuple):
    """How patient we are.  All times are in seconds.

    ``connect`` and ``idle`` bound the time without an answer.  All that is done for one request
    may take ``grace`` for each try, and the time that ``slowest`` (bytes a second) takes for what
    has come or gone; after a failure the server is left alone for ``rest``.
    """

    connect: float = 5
    idle: float = 20
    grace: float = 30
    slowest: float = 100_000
    retries: int = 2
    rest: float = 30


class _RefusedError(Exception):
    """The server answers, but not as we need."""


class _OursError(Exception):
    """A file of this machine cannot be read or written: no fault of the server."""


@contextlib.contextmanager
def _our_files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _OursError(str(error)) from error


class _Blocks:
    """What a file holds, from its beginning each time: a request may be sent again."""

    def __init__(self, path: Path, count: Callable[[int], object]) -> None:
        self._path = path
        self._count = count

    def __iter__(self) -> Iterator[bytes]:
        with _our_files(), self._path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
                self._count(len(block))


class Remote:
    """A server; ``url`` ends with a slash.  No method raises anything.

    ``warn`` is told once why the server is not asked any more.
    """

    def __init__(
        self,
        url: str,
        warn: Callable[[str], object],
        *,
        writable: bool = False,
        headers: Mapping[str, str] | None = None,
        settings: RemoteSettings | None = None,
    ) -> None:
        self.url = url
        self.writable = writable
        self._warn = warn
        self._headers = headers or {}
        self._settings = settings or RemoteSettings()
        self._pool: urllib3.PoolManager | None = None
        self._is_given_up = False
        self._lock = threading.Lock()  # of that it is given up
        self._moved = 0  # bytes of the request at hand

    def get(self, path: str) -> bytes | None:
        """Return what lies there; None if nothing does, or nothing can be had."""

        def work() -> bytes | None:
            response = self._found(path)
            if response is None:
                return None
            with contextlib.closing(response):
                return b"".join(self._body(response, _MAX_NOTE))

        return self._attempt(f"GET {path}", work)

    def get_file(self, path: str, place: Path, size: int) -> bool:
        """Write what lies there, at most ``size`` bytes, to ``place``; return whether it is."""
        most = min(size, _MAX_WHEEL)

        def work() -> bool:
            response = self._found(path)
            if response is None:
                return False
            with contextlib.closing(response):
                _write(self._opened(place), self._body(response, most))
            return True

        is_there = bool(self._attempt(f"GET {path}", work))
        if not is_there:
            place.unlink(missing_ok=True)
        return is_there

    def _opened(self, place: Path) -> BinaryIO:
        """Open a new file, unless nobody waits for it any more: something else may come there."""
        with self._lock:
            if self._is_given_up:
                raise _RefusedError("it answers too late")
            with _our_files():
                return place.open("wb")

    def put(self, path: str, data: bytes) -> bool:
        """Put ``data`` there, if we may write; return whether it is there now."""

        def work() -> bool:
            self._write(path, data, {})
            return True

        return self.writable and bool(self._attempt(f"PUT {path}", work))

    def put_file(self, path: str, source: Path) -> bool:
        """Put a file there, if we may write and it is not there; return whether it is now."""

        def work() -> bool:
            with _our_files():
                size, digest = source.stat().st_size, bytes.fromhex(hash_file(source))
            if self._has(path, size):
                return True
            said = base64.b64encode(digest).decode()
            headers = {
                "Content-Length": str(size),
                "Content-Digest": f"sha-256=:{said}:",
            }  # RFC 9530
            self._write(path, _Blocks(source, self._count), headers)
            if not self._has(path, size):
                raise _RefusedError("it does not have what it took")
            return True

        return self.writable and bool(self._attempt(f"PUT {path}", work))

    def _has(self, path: str, size: int) -> bool:
        response = self._request("HEAD", path)
        _dismiss(response)
        return response.status == _FOUND and response.headers.get("Content-Length") == str(size)

    def _found(self, path: str) -> urllib3.BaseHTTPResponse | None:
        response = self._request("GET", path)
        if response.status == _FOUND:
            return response
        _dismiss(response)
        if response.status in _ABSENT:
            return None
        raise _RefusedError(f"it answers {response.status}")

    def _write(self, path: str, data: bytes | _Blocks, headers: Mapping[str, str]) -> None:
        response = self._request("PUT", path, data, headers)
        _dismiss(response)
        if response.status not in _WRITTEN:
            raise _RefusedError(f"it answers {response.status}")

    def _request(
        self,
        method: str,
        path: str,
        data: bytes | _Blocks | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer, its body unread, of where the server leads."""
        address = self.url + path
        sent = {"Accept-Encoding": "identity", **self._headers, **(headers or {})}
        for _ in range(_LONGEST_WAY + 1):
            response = self._answer(method, address, data, sent)
            location = response.get_redirect_location()
            if not location or (response.status == _SEE_OTHER and data is not None):
                return response
            _dismiss(response)
            there = urljoin(address, location)
            if _host(there) != _host(address):  # who we are is no business of others
                sent.pop("Authorization", None)
            address = there
        raise _RefusedError("too many redirects")

    def _answer(
        self, method: str, address: str, data: bytes | _Blocks | None, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """Return what is answered there, asked again as often as we are patient.

        The library could follow and ask again by itself, but would read what it gets all the
        while to its end, and that may have none.
        """
        import urllib3  # noqa: PLC0415 -- only with a remote

        settings = self._settings
        if self._pool is None:
            timeout = urllib3.Timeout(connect=settings.connect, read=settings.idle)
            self._pool = urllib3.PoolManager(timeout=timeout)
        retries = urllib3.Retry(
            settings.retries,
            backoff_factor=_PAUSE,
            allowed_methods=None,
            respect_retry_after_header=False,  # it may say "in a year"
        )
        left = settings.retries
        while True:
            response = self._pool.request(
                method,
                address,
                body=data,
                headers=headers,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=retries,
            )
            if response.status not in _TRY_AGAIN or not left:
                return response
            _dismiss(response)
            left -= 1
            time.sleep(_PAUSE * 2 ** (settings.retries - left))

    def _body(self, response: urllib3.BaseHTTPResponse, most: int) -> Iterator[bytes]:
        """Yield the body.  Raises _RefusedError if it is too long, or nobody waits any more."""
        length = 0
        while block := response.read1(_BLOCK):
            length += len(block)
            if length > most:
                raise _RefusedError(f"it sends more than {most} bytes")
            if self._is_given_up:
                raise _RefusedError("it answers too late")
            self._count(len(block))
            yield block

    def _attempt(self, what: str, work: Callable[[], _T]) -> _T | None:
        """Return what ``work`` returns; None if the server is to be left alone, or fails."""
        if self._is_given_up or self._rests():
            return None
        try:
            from urllib3.exceptions import HTTPError  # noqa: PLC0415 -- only with a remote
            from urllib3.response import HTTPResponse  # noqa: PLC0415

            HTTPResponse.read1  # noqa: B018 -- since 2.2
        except (ImportError, AttributeError):
            self._give_up(_HINT)
            return None
        try:
            return self._in_time(work)
        except (_RefusedError, _OursError) as error:
            self._give_up(f"{what}: {error}")
        except (HTTPError, OSError, ValueError) as error:
            self._give_up(f"{what}: {_cause(error)}")
            write_cached(self._mark(), b"")
        return None

    def _in_time(self, work: Callable[[], _T]) -> _T:
        """Return what ``work`` returns, raise what it raises, or OSError if it takes too long.

        It is left to itself then, as nothing can end it: a server may send one letter of a header
        now and then, and is never idle.
        """
        ended: list[Callable[[], _T]] = []

        def run() -> None:
            try:
                result = work()
                ended.append(lambda: result)
            except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
                ended.append(partial(_raise, error))

        self._moved = 0
        begun = time.monotonic()
        thread = started(run, daemon=True)
        while not ended and (left := begun + self._patience() - time.monotonic()) > 0:
            thread.join(left)
        if not ended:
            raise OSError(f"it is too slow: {self._moved} bytes in all the time it had")
        return ended.pop()()

    def _patience(self) -> float:
        """Return the seconds that a request may take for what has come or gone until now."""
        settings = self._settings
        return (settings.retries + 1) * settings.grace + self._moved / settings.slowest

    def _count(self, length: int) -> None:
        self._moved += length

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._is_given_up = True
        self._warn(f"the remote cache {self.url} is not used: {reason}; the build goes on")

    def _rests(self) -> bool:
        """Tell whether the server failed so recently, here or elsewhere, that it is not asked."""
        try:
            failed = self._mark().stat().st_mtime
        except OSError:
            return False
        return 0 <= time.time() - failed < self._settings.rest

    def _mark(self) -> Path:
        name = hashlib.sha256(self.url.encode()).hexdigest()[:32]
        return cache_directory() / "remote-down" / name


def _raise(error: BaseException) -> NoReturn:
    raise error


def _dismiss(response: urllib3.BaseHTTPResponse) -> None:
    """Be done with a response; a short one lets its connection be used again."""
    response.read1(_BLOCK)
    response.close()


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _write(file: BinaryIO, blocks: Iterator[bytes]) -> None:
    """Write and close a file.  Raises _OursError if it cannot be, and what ``blocks`` raises."""
    try:
        for block in blocks:
            with _our_files():
                file.write(block)
    finally:
        with _our_files():
            file.close()  # what is still to be written is written now


def _cause(error: Exception) -> str:
    """Return what is behind an error of the library, whose own words name its objects."""
    inner = getattr(error, "reason", None) or error
    return f"{type(inner).__name__}: {inner}" if not str(inner).strip() else str(inner)
