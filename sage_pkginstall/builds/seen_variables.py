"""Which environment variables count for a build, and what they say.

Package scripts set whatever variables they like, and a build gets them all.  So all count,
but for those that are known to tell no build what to make: of the terminal, of the session,
of make's job slots, of where things lie.  ``SAGE_PKGINSTALL_IGNORE`` may name more of them,
as patterns (``GITHUB_* CI_*``), for machines that have some that change with each run.

Where a directory that has a name (``SAGE_LOCAL``, the source …) stands in a value, that name
takes its place (`Places`): the same build in another prefix has the same variables.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase

from sage_pkginstall.passwords import without_passwords
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["REMOVED", "Places", "seen_variables"]

# fmt: off
# Of the terminal and the session.
_SESSION = (
    "HOME", "PWD", "OLDPWD", "SHLVL", "_", "SHELL", "USER", "LOGNAME", "USERNAME", "HOSTNAME",
    "HOST", "MAIL", "TERM", "COLORTERM", "COLUMNS", "LINES", "LS_COLORS", "NO_COLOR",
    "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
    "WINDOWID", "TMUX", "TMUX_PANE", "STY", "EDITOR", "VISUAL", "PAGER", "LESS", "LESSOPEN",
    "LESSCLOSE", "PS1", "PS2", "PROMPT_COMMAND", "HISTFILE", "HISTSIZE", "HISTCONTROL",
    "DEBIAN_FRONTEND", "INVOCATION_ID", "JOURNAL_STREAM", "COLORFGBG", "SHELL_SESSION_ID",
    "WINDOWPATH", "WSL_INTEROP", "INSIDE_EMACS", "NVIM", "TILIX_ID", "WT_SESSION", "WT_PROFILE_ID",
    "SESSION_MANAGER", "DESKTOP_SESSION", "DESKTOP_STARTUP_ID", "GDMSESSION", "ICEAUTHORITY",
    "KRB5CCNAME", "SECURITYSESSIONID", "MANAGERPID", "MANAGERPIDFDID", "NOTIFY_SOCKET",
    "SUDO_COMMAND", "SUDO_USER", "SUDO_UID", "SUDO_GID",
)
# Of job slots: how many compilers run must not matter.
_SLOTS = (
    "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKE", "MAKEOVERRIDES", "MAKE_TERMOUT",
    "MAKE_TERMERR", "MAKE_RESTARTS", "SAGE_NUM_THREADS", "SAGE_NUM_THREADS_PARALLEL",
    "MAX_JOBS", "NPY_NUM_BUILD_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL",
    "CARGO_MAKEFLAGS", "CARGO_BUILD_JOBS",
)
# Of where things lie, for now; PATH counts with the programs that it leads to.
_PLACES = (
    "PATH", "TMPDIR", "TMP", "TEMP", "CCACHE_DIR", "SCCACHE_DIR", "SAGE_LOGS", "SAGE_DISTFILES",
    "SAGE_BUILD_DIR", "SAGE_DESTDIR", "SAGE_DESTDIR_LOCAL", "SAGE_SPKG_INST",
    "SAGE_SPKG_SCRIPTS", "SAGE_SPKG_WHEELS",
)
# Of how packages are installed, and of this tool.
_TOOL = (
    "SAGE_SUDO", "SAGE_PIP_INSTALL_FLAGS", "SAGE_KEEP_BUILT_SPKGS", "SAGE_CHECK",
    "SAGE_REBUILD", "SAGE_SPKG", "SAGE_FLOCK_HELD", "SAGE_LOCK_TIMEOUT", "SAGE_WHEELS",
    "OPTIONAL_PACKAGES", "SHARD", "UNAME", "V",
)
REMOVED = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONNOUSERSITE", "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "SAGE_PKGINSTALL_REMOTE_TOKEN",
)
"""What no build environment has from outside (composed.py): it would change what Python imports,
say of another environment that it is this one, or tell a secret."""
# Where the network is, and whom to trust there: builds that download have no business here.
_NETWORK = (
    "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NIX_SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
)
# fmt: on
_IGNORED = frozenset((*_SESSION, *_SLOTS, *_PLACES, *_TOOL, *REMOVED, *_NETWORK))
_IGNORED_STARTS = (
    "SAGE_PKGINSTALL_",
    "PIP_",
    "UV_",
    "XDG_",
    "SSH_",
    "DBUS_",
    "GPG_",
    "TERM_",
    "LC_TERMINAL",
    "VTE_",
    "VSCODE_",
    "SYSTEMD_",
    "GNOME_TERMINAL_",
    "KONSOLE_",
    "XTERM_",
    "KITTY_",
    "ALACRITTY_",
    "WEZTERM_",
    "GHOSTTY_",
    "ITERM_",
    "ZELLIJ",
    "GIO_LAUNCHED_",
    "MEMORY_PRESSURE_",
    "DIRENV_",
    "STARSHIP_",
    "COVERAGE_",
    "COV_CORE_",
    "BASH_FUNC_sdh_",
    "BASH_FUNC__sdh_",
)
_COUNTED_STARTS = ("UV_PREVIEW",)
"""Which of them count all the same: uv_build puts more into wheels."""

_ENDS = r"\s:;,=\"'(){}\[\]|"
"""What may stand before and behind a path in a text."""
_OF_MAKE = re.compile(r"(?:^|(?<=\s))(?P<name>\w+)(?P<value>[:+?!]*=(?:\\.|[^\s\\])*)", re.DOTALL)
"""A variable in MAKEFLAGS, where a blank in a value has a backslash before it."""

_NO_OPTION_OF_BUILDS = re.compile(
    r"-?[BdjkLpsSvw]|-[jlO].*|"
    r"--(?:debug|jobs|jobserver-|load-average|max-load|(?:no-)?keep-going|(?:no-)?print-|output-sync|"
    r"quiet|(?:no-)?silent|shuffle|stop|sync-mutex|trace|warn-undefined-variables)\S*"
)
"""Options in MAKEFLAGS that change what make says, or how many jobs it runs, and not what it makes.

All others do: ``-i`` lets half a library pass for a whole one, ``-e`` prefers other flags.
"""

_SECRET = re.compile(
    "TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE
)


class Places(NamedTuple):
    """Directories that have a name, so that they can be told where they lie elsewhere."""

    names: Mapping[str, str]

    def without(self, text: str) -> str:
        """Return ``text`` with each directory replaced by its name; the deepest go first.

        Not where a path only begins like it (``/opt/sage-2`` is not in ``/opt/sage``), or ends so.
        """
        for name, path in sorted(self.names.items(), key=lambda one: -len(one[1])):
            if path.strip("/") and path in text:
                whole = f"(?<![^{_ENDS}])(-[A-Za-z]+)?{re.escape(path.rstrip('/'))}(?![^/{_ENDS}])"
                text = re.sub(whole, lambda found: f"{found[1] or ''}{{{name}}}", text)  # noqa: B023 -- used at once
        return text

    def in_all(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return ``texts`` with that done to each."""
        return {name: self.without(text) for name, text in texts.items()}


def seen_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``environ`` that count for a build, and what they say.

    Of a secret, or of the password of a URL, that is a hash: what is returned is remembered, and
    shown to people.  Variables and options of make's command line are among them: each make of
    the build takes them from MAKEFLAGS, or from MAKE itself (``make -j4 CC=clang``).
    """
    patterns = environ.get("SAGE_PKGINSTALL_IGNORE", "").split()

    def counts(name: str) -> bool:
        return not (
            name in _IGNORED
            or (name.startswith(_IGNORED_STARTS) and not name.startswith(_COUNTED_STARTS))
            or any(fnmatchcase(name, pattern) for pattern in patterns)
        )

    seen = {name: value for name, value in environ.items() if counts(name)}
    options: list[str] = []
    for flags in (environ.get("MAKEFLAGS", ""), _behind_program(environ.get("MAKE", ""))):
        for match in _OF_MAKE.finditer(flags):
            if counts(match["name"]):
                seen[f"{match['name']} of make"] = match["value"]
        options += _options_of_make(flags)
    options = [one for one in options if not _NO_OPTION_OF_BUILDS.fullmatch(one)]
    if options:
        seen["options of make"] = " ".join(sorted(options))
    return {name: _told(name, text) for name, text in seen.items()}


def _told(name: str, text: str) -> str:
    """Return what a variable says, without a secret: ``DATABASE_URL=postgres://me:word@host``."""
    if _SECRET.search(name):
        return _hash(text)
    return without_passwords(text, _hash) if "@" in text else text


def _behind_program(command: str) -> str:
    """Return what follows the program in ``make -j4``: it begins with a blank, as no letters do."""
    _, blank, more = command.strip().partition(" ")
    return blank + more


def _options_of_make(flags: str) -> Iterator[str]:
    """Yield the options in MAKEFLAGS, of which the first may be letters without a dash."""
    for place, word in enumerate(flags.split(" ")):
        if word == "--":
            return
        letters = word.removeprefix("-") if place == 0 or word[:1] == "-" else ""
        if letters.isalpha() and letters[0] not in "IjlO":
            yield from letters
        elif word.startswith("-"):
            yield word


def _hash(secret: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 -- few have one

    return sha256(os.fsencode(secret)).hexdigest()
