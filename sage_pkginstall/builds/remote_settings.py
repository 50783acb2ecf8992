"""Which cache machines share, and who we are there, as variables say.

SAGE_PKGINSTALL_REMOTE        the URL
SAGE_PKGINSTALL_REMOTE_MODE   "read" (the default) or "read-write"
SAGE_PKGINSTALL_REMOTE_TOKEN  sent as "Authorization: Bearer …"; without it, what
~/.netrc (or $NETRC) has for the host
"""

from __future__ import annotations

import base64
import netrc
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from sage_pkginstall.builds.remote import Remote
from sage_pkginstall.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["remote_of"]

_MODES = ("read", "read-write")


def _parts(url: str) -> SplitResult | None:
    """Return the parts of a URL of the web, None for something else."""
    try:
        parts = urlsplit(url)
        good = (
            url.isprintable()
            and parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
        )
    except ValueError:  # of a bracket that is not closed, a port that is no number
        return None
    return parts if good else None


def remote_of(environ: Mapping[str, str], warn: Callable[[str], object]) -> Remote | None:
    """Return the server that the variables name, None if they name none.

    Raises UsageError if they ask for something impossible.
    """
    url = environ.get("SAGE_PKGINSTALL_REMOTE", "")
    if not url:
        return None
    parts = _parts(url)
    if parts is None:
        reason = "it is no URL that begins with http:// or https://"
        url = "***@" * ("@" in url) + url.rpartition("@")[2]  # it may hold a password
        raise UsageError(f"cannot use SAGE_PKGINSTALL_REMOTE={url!r}: {reason}")
    if "@" in parts.netloc:
        remedy = "put it into ~/.netrc"
        raise UsageError(f"cannot use SAGE_PKGINSTALL_REMOTE: it holds a password; {remedy}")
    if parts.query or parts.fragment:  # often a secret, and names of entries are put behind it
        what = "it has something behind its path, after a '?' or '#'"
        raise UsageError(f"cannot use SAGE_PKGINSTALL_REMOTE: {what}")
    mode = environ.get("SAGE_PKGINSTALL_REMOTE_MODE") or "read"
    if mode not in _MODES:
        neither = f"it is neither {' nor '.join(_MODES)}"
        raise UsageError(f"cannot use SAGE_PKGINSTALL_REMOTE_MODE={mode!r}: {neither}")
    return Remote(
        url.rstrip("/") + "/",
        warn,
        writable=mode == "read-write",
        headers=_authorization(environ, parts.hostname or "", warn),
    )


def _authorization(
    environ: Mapping[str, str], host: str, warn: Callable[[str], object]
) -> dict[str, str]:
    token = environ.get("SAGE_PKGINSTALL_REMOTE_TOKEN", "").strip()
    if token:
        if not (token.isascii() and token.isprintable()):
            raise UsageError("cannot use SAGE_PKGINSTALL_REMOTE_TOKEN: it is no line of ASCII")
        return {"Authorization": f"Bearer {token}"}
    path = environ.get("NETRC") or Path(environ.get("HOME", "/"), ".netrc")
    try:
        known = netrc.netrc(path).authenticators(host)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, netrc.NetrcParseError) as error:
        warn(f"{path} is not read: {_fault(error)}; the remote cache is asked without a password")
        return {}
    if known is None:
        return {}
    login, _, password = known
    pair = base64.b64encode(f"{login}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _fault(error: Exception) -> str:
    """Return what is wrong with a netrc, without the word that is: a part of a password, say."""
    if isinstance(error, netrc.NetrcParseError) and " token " in error.msg:
        return f"a word near line {error.lineno} cannot be understood"
    return str(error)
