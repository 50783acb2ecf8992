"""The scripts of a package: wrapped, so that bash can run them anywhere and by hand.

``spkg-NAME.in`` becomes ``spkg-NAME``: the exports, the environment files of the tree,
our commands on PATH, the helpers, ``cd`` to where it runs, and then its text.  An
executable ``spkg-NAME`` is run as it is.

    $SAGE_BUILD_DIR/NAME-VERSION/spkg-{preinst,build,install,check,pipinst,postinst}
    TREE/var/lib/sage/scripts/NAME/spkg-{prerm,piprm,postrm,check}
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from sage_pkginstall.errors import PackageError
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sage_pkginstall.spkg.package import Script

__all__ = [
    "INSTALLED_SCRIPTS",
    "PIPRM_MARK",
    "Wrapper",
    "environment_files",
    "find_tools",
    "is_generated_piprm",
    "piprm_text",
    "script_text",
    "write_script",
]

INSTALLED_SCRIPTS = ("prerm", "piprm", "postrm", "check")
"""The scripts that stay in the tree for as long as the package is installed."""

PIPRM_MARK = "# Written by sage-spkg: it uninstalls what spkg-requirements.txt names."
_PIPRM = 'sdh_pip_uninstall -r "$SAGE_SPKG_SCRIPTS/$PKG_BASE/spkg-requirements.txt"\n'
_HELPERS = "sage-dist-helpers"
_ENVIRONMENT_FILES = (
    "src/bin/sage-src-env-config",
    "src/bin/sage-env-config",
    "src/bin/sage-env",
    "build/bin/sage-build-env-config",
    "build/bin/sage-build-env",
)


class Wrapper(NamedTuple):
    """What a script is wrapped in: its exports, our commands, and where it runs."""

    exports: Mapping[str, str]
    tools: Path
    directory: Path

    def wrap(self, title: str, text: str) -> str:
        """Return the bash script that runs ``text``; ``title`` says what it is."""
        files = environment_files(Path(self.exports["SAGE_ROOT"]), Path(self.exports["SAGE_LOCAL"]))
        quoted = shlex.quote(os.fspath(self.directory))
        lines = [
            "#!/usr/bin/env bash",
            f"# {title}",
            *(f"export {name}={shlex.quote(value)}" for name, value in self.exports.items()),
            *(f"[ ! -f {_quoted(file)} ] || . {_quoted(file)}" for file in files),
            f"export PATH={_quoted(self.tools)}:$PATH",
            f". {_quoted(self.tools / _HELPERS)} || exit",
            "sdh_guard",
            f"cd {quoted} || sdh_die {shlex.quote(f'cannot go to {self.directory}')}",
            "",
        ]
        return "\n".join(lines) + text


def environment_files(root: Path, local: Path) -> tuple[Path, ...]:
    """Return what a wrapped script reads before its own text, where it is there."""
    return (local / "bin" / "sage-env-config", *(root / file for file in _ENVIRONMENT_FILES))


def script_text(package: str, script: Script) -> str:
    """Return the text of a script that is to be wrapped.

    Raises PackageError for one with a shebang: it would be taken for a program of its own.
    """
    data = script.path.read_bytes().replace(b"\r\n", b"\n")  # lines of DOS; other \r are its own
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")  # of DOS, too
    if text.startswith("#!"):
        reason = f"{script.path.name} begins with a shebang; wrapped scripts are run by bash"
        raise PackageError(package, f"{reason}, so remove that line")
    return text


def write_script(path: Path, text: str) -> None:
    """Write an executable script, its directory included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(0o755)


def piprm_text(wrapper: Wrapper, package: str) -> str:
    """Return the pip-uninstall script of a package, ``spkg-piprm``."""
    return wrapper.wrap(f"spkg-piprm of {package}", f"{PIPRM_MARK}\n{_PIPRM}")


def is_generated_piprm(path: Path) -> bool:
    """Tell whether ``path`` is a pip-uninstall script that we wrote."""
    try:
        return PIPRM_MARK.encode() in path.read_bytes()
    except FileNotFoundError:
        return False


def find_tools(environ: Mapping[str, str], root: Path) -> Path:
    """Return the directory of our commands, ``build/bin`` with ``sage-dist-helpers``.

    That is the one beside this very tool; else the first of PATH; else that of SAGE_ROOT.
    Raises PackageError if there is none.
    """
    beside = [above / "build" / "bin" for above in Path(__file__).absolute().parents]
    on_path = [Path(word) for word in environ.get("PATH", "").split(os.pathsep) if word]
    for directory in (*beside, *on_path, root / "build" / "bin"):
        if (directory / _HELPERS).is_file() and (directory / "sage-pkginstall").is_file():
            return directory
    raise PackageError(_HELPERS, "it is not on PATH; put the tool's build/bin there")


def _quoted(path: Path) -> str:
    return shlex.quote(os.fspath(path))
