"""A prefix for each package and a view of them all, in the manner of Spack: build.py ROOT WHEEL...

ROOT/NAME-VERSION/    one package; a newer version gets a prefix of its own
ROOT/view/            an environment that sees them all; it changes in one transaction
"""

from __future__ import annotations

import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

from sage_pkginstall import (
    Environment,
    InstallOptions,
    PkgInstallError,
    install,
    merge,
    target_environment,
)


def install_alone(wheel: Path, root: Path, python: Environment) -> Path:
    """Install a wheel into a prefix of its own; return the directory to import from."""
    name, version, *_ = wheel.name.split("-")
    prefix = root / f"{name}-{version}"
    prefix.mkdir(parents=True, exist_ok=True)
    options = InstallOptions(check_requirements=False)  # they lie in other prefixes
    install([wheel], python.at(prefix), options=options)
    return prefix / python.schemes["purelib"]


def show_in_view(directories: list[Path], view: Environment) -> None:
    """Let the view see these directories and no other: a .pth file, replaced atomically."""
    with TemporaryDirectory() as staged:
        path = Path(staged, view.schemes["purelib"], "packages.pth")
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{directory}\n" for directory in directories))
        merge(Path(staged), view.prefix, package="view")


def main(root: Path, wheels: list[Path]) -> None:
    """Build all prefixes, then the view."""
    view = root / "view"
    if not view.exists():
        venv.create(view, symlinks=True)
    environment = target_environment(view)
    show_in_view([install_alone(wheel, root, environment) for wheel in wheels], environment)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).absolute(), [Path(word) for word in sys.argv[2:]])
    except PkgInstallError as error:
        sys.exit(f"build.py: {error}")
