"""Package directories of every shape that Sage's own have (issue 3).

shape = SHAPES["own_makefile"]("2")  # version 2 of a package of that shape
add(world, shape, wheels)
assert shape.installs <= paths of the prefix
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.sources import source_files
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.sageworld import SageWorld

__all__ = ["SHAPES", "Shape", "add"]

FAILING = "\nfalse\n"
SHARED = "# one file of two distributions\n"


@dataclass(frozen=True)
class Shape:
    """One version of a package.

    ``files`` lie in its directory, ``source`` in its tarball; ``wheel`` are the files of a
    wheel instead of a tarball.  ``installs`` ends the paths of what it installs.
    """

    name: str
    version: str
    files: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] | None = None
    wheel: Mapping[str, str] | None = None
    installs: tuple[str, ...] = ()

    @property
    def stamped(self) -> bool:
        """Whether there is a record of its installation."""
        return "requirements.txt" not in self.files and bool(
            self.source or self.wheel or self.files
        )

    def failing(self) -> Shape:
        """Return the same, but its installation fails: at its end if it has a script."""
        for name in ("spkg-install.in", "spkg-install"):
            if name in self.files:
                return replace(self, files={**self.files, name: self.files[name] + FAILING})
        if "requirements.txt" in self.files:
            return replace(self, files={**self.files, "requirements.txt": "no-such-project\n"})
        return replace(self, files={**self.files, "spkg-preinst.in": FAILING})


def add(world: SageWorld, shape: Shape, wheels: Path) -> None:
    """Write the package; wheels of its distribution, also pip's, are made in ``wheels``."""
    wheel = None
    if shape.wheel is not None:
        wheel = make_wheel(wheels, shape.name, shape.version, shape.wheel)
    fetched = None if "requirements.txt" in shape.files else wheel
    world.package(shape.name, shape.version, shape.files, source=shape.source, wheel=fetched)


# ------------------------------------------------------------------------- Python packages


def _wheel(name: str) -> Callable[[str], Shape]:
    """No script at all; the two of these share a file."""

    def shape(version: str) -> Shape:
        files = {"backports/__init__.py": SHARED, f"backports/{name}.py": f"{version!r}\n"}
        installs = (
            "/backports/__init__.py",
            f"/backports/{name}.py",
            f"/{name}-{version}.dist-info",
        )
        requirement = {"version_requirements.txt": f"{name}\n"}
        return Shape(name, version, requirement, wheel=files, installs=installs)

    return shape


def _pip(name: str) -> Callable[[str], Shape]:
    """Installed by pip, from an index."""

    def shape(version: str) -> Shape:
        files = {"requirements.txt": f"{name} == {version}\n"}
        wheel = {f"{name}.py": f"{version!r}\n"}
        return Shape(name, version, files, wheel=wheel, installs=(f"/{name}-{version}.dist-info",))

    return shape


def _built(
    name: str, script: str, code: str = "pass", requires: tuple[str, ...] = ()
) -> Callable[[str], Shape]:
    """Built from sources by ``script``; ``code`` runs in the backend."""

    def shape(version: str) -> Shape:
        files = {"spkg-install.in": script, "version_requirements.txt": f"{name}\n"}
        source = source_files(name, version, code=code, requires=requires)
        installs = (f"/{name}.json", f"/{name}-{version}.dist-info")
        return Shape(name, version, files, source, installs=installs)

    return shape


def _expect(expression: str) -> str:
    return f"if not ({expression}): raise SystemExit('unexpected: ' + repr(config_settings))"


def _editable_or_wheel(version: str) -> Shape:
    """Version 1.0 is editable, in a place that stays; others are wheels."""
    name = "editable_or_wheel"
    script = (
        'if [ "$PKG_VER" = 1.0 ]; then\n'
        '    rm -rf "$SAGE_ROOT/src" && cp -Rp src "$SAGE_ROOT/src" && cd "$SAGE_ROOT/src" &&\n'
        "    sdh_pip_editable_install .\n"
        "else\n    cd src && sdh_pip_install .\nfi"
    )
    files = {"spkg-install.in": script, "version_requirements.txt": f"{name}\n"}
    installs = (f"/{name}-{version}.dist-info",)
    return Shape(name, version, files, source_files(name, version), installs=installs)


# --------------------------------------------------------------------------- other packages

CONFIGURE = """#!/bin/sh
for word; do case $word in --prefix=*) echo "prefix = ${word#--prefix=}" >config.mk ;; esac; done
"""
CONFIGURED = """include config.mk
program: program.c ; $(CC) -o $@ $<
install: program
\tmkdir -p $(DESTDIR)$(prefix)/bin
\tcp program $(DESTDIR)$(prefix)/bin/configured-@VERSION@
"""
PROGRAM = "int main(void) { return 0; }\n"
CMAKE = """cmake_minimum_required(VERSION 3.15)
project(shape NONE)
install(FILES data-@VERSION@ DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmaked)
"""
OWN = """install:
\tmkdir -p $(DESTDIR)$(PREFIX)/share/own
\tcp data $(DESTDIR)$(PREFIX)/share/own/data-@VERSION@
"""
WITH_CMAKE = """mkdir build && cd build
sdh_cmake -GNinja ../src
cmake --build . && DESTDIR="$SAGE_DESTDIR" cmake --install ."""
STRAIGHT = """to="$SAGE_DESTDIR$SAGE_LOCAL/share/straight"
mkdir -p "$to/tar" && cp src/data "$to/data-$PKG_VER" && ln -s "data-$PKG_VER" "$to/link" &&
(cd src && tar cf - data) | (cd "$to/tar" && tar xf -)"""
EXECUTABLE = """#!/usr/bin/env bash
. sage-dist-helpers
sdh_install -T src/data "$SAGE_SHARE/executable/data-$PKG_VER" """
MIXED = """sdh_install -T src/specification.json "$SAGE_SHARE/mixed/data-$PKG_VER"
cd src && sdh_pip_install ."""

# The styles of different years: what lies beside the script; functions, arrays, eval and here
# documents; a script that stops at the first fault; one that is a program.
BESIDE = """cp patches/Makefile src/ && . ./settings
for file in patches/*.txt; do
    [ -f "$file" ] || sdh_die "no file $file"
    cp "$file" "src/$SETTING $PKG_VER"
done
cd src && sdh_make_install PREFIX="$SAGE_LOCAL" FILE="$SETTING $PKG_VER" """
FILES_BESIDE = {
    "patches/Makefile": """install:
\tmkdir -p $(DESTDIR)$(PREFIX)/share/beside
\tcp "$(FILE)" $(DESTDIR)$(PREFIX)/share/beside
""",
    "patches/of-us.txt": "ours\n",
    "patches/of-us.patch": "--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-data\n",
    "settings": "export SETTING='with blank'\n",
}
FUNCTIONS = r"""must_have_worked() {
    if [ $? -ne 0 ]; then
        sdh_die <<EOF
Cannot $1 $PKG_NAME
EOF
    fi
}
unset CFLAGS && export LDFLAGS="-L$SAGE_LOCAL/lib $LDFLAGS"
words=(PREFIX="$SAGE_LOCAL" "NAME=data of-$PKG_VER")
cd src
cat >Makefile <<END
to = \$(DESTDIR)\$(PREFIX)/share/functions
all: ; cp data "made from $PKG_BASE"
install: ; mkdir -p \$(to) && cp made* "\$(to)/\$(NAME)"
END
$MAKE
must_have_worked make
sdh_make_install "${words[@]}"
eval "$MAKE install DESTDIR='$SAGE_DESTDIR' PREFIX='$SAGE_LOCAL' NAME=again-$PKG_VER"
must_have_worked install"""
STRICT = r"""set -euo pipefail
if [ "$UNAME" = "$(uname)" ]; then
    printf '#!/bin/sh
echo ran %s
' "$PKG_VER" >strict && chmod +x strict
fi
sdh_install -T strict "$SAGE_LOCAL/bin/strict-$PKG_VER" """
RAN = '"$SAGE_LOCAL/bin/strict-$PKG_VER" | grep "ran $PKG_VER"'
PROGRAM_OF_PYTHON = """#!/usr/bin/env python3
import os, shutil
to = os.path.join(os.environ["SAGE_DESTDIR_LOCAL"], "share", "program")
os.makedirs(to)
shutil.copy("src/data", os.path.join(to, "data-" + os.environ["PKG_VER"]))
"""


def _other(
    name: str, files: Mapping[str, str], source: Mapping[str, str], installs: str
) -> Callable[[str], Shape]:
    def shape(version: str) -> Shape:
        sources = {path: text.replace("@VERSION@", version) for path, text in source.items()}
        sources = {path.replace("@VERSION@", version): text for path, text in sources.items()}
        return Shape(
            name, version, files, sources, installs=(installs.replace("@VERSION@", version),)
        )

    return shape


def _mixed(version: str) -> Shape:
    files = {"spkg-install.in": MIXED, "version_requirements.txt": "mixed\n"}
    installs = (f"/mixed-{version}.dist-info", f"share/mixed/data-{version}")
    return Shape("mixed", version, files, source_files("mixed", version), installs=installs)


def _none(version: str) -> Shape:
    return Shape("nothing", version)


_DATA = {"data": "@VERSION@\n"}
_CALLS = "sdh_configure && sdh_make && sdh_make_install"

SHAPES: Mapping[str, Callable[[str], Shape]] = {
    "first_wheel": _wheel("first_wheel"),
    "second_wheel": _wheel("second_wheel"),
    "third_wheel": _wheel("third_wheel"),
    "by_pip": _pip("by_pip"),
    "plain": _built("plain", "cd src && sdh_pip_install ."),
    "unisolated": _built("unisolated", "cd src && sdh_pip_install --no-build-isolation ."),
    "settings": _built(
        "settings",
        """cd src && sdh_pip_install -C setup-args="-Da='b c'" -C other=x .""",
        _expect("""config_settings == {"setup-args": "-Da='b c'", "other": "x"}"""),
    ),
    "evaluated": _built(
        "evaluated",
        """FLAGS="-C one='1 2' --no-build-isolation"; cd src && eval sdh_pip_install $FLAGS .""",
        _expect("""config_settings == {"one": "1 2"}"""),
    ),
    "exported": _built(
        "exported",
        "export SHAPE_OF='two words'\ncd src && sdh_pip_install .",
        _expect("os.environ['SHAPE_OF'] == 'two words'"),
    ),
    "edited": _built(
        "edited",
        """cd src && sed -i.bak 's/"no-such-thing"//' pyproject.toml && sdh_pip_install .""",
        requires=("no-such-thing",),
    ),
    "editable_or_wheel": _editable_or_wheel,
    "mixed": _mixed,
    "elsewhere": _other(
        "elsewhere",
        {
            "spkg-install.in": 'if [ "$(uname)" = Plan9 ]; then\n    cd src && sdh_pip_install .\n'
            'else\n    echo "Not needed on this platform"\nfi'
        },
        _DATA,
        "var/lib/sage/installed/elsewhere-@VERSION@",
    ),
    "configured": _other(
        "configured",
        {"spkg-install.in": f"cd src && {_CALLS}", "spkg-check.in": "cd src && ./program"},
        {"configure": CONFIGURE, "Makefile": CONFIGURED, "program.c": PROGRAM},
        "bin/configured-@VERSION@",
    ),
    "cmaked": _other(
        "cmaked",
        {"spkg-install.in": WITH_CMAKE},
        {"CMakeLists.txt": CMAKE, "data-@VERSION@": "@VERSION@\n"},
        "lib/cmaked/data-@VERSION@",
    ),
    "own": _other(
        "own",
        {"spkg-install.in": 'cd src && sdh_make_install PREFIX="$SAGE_LOCAL"'},
        {**_DATA, "Makefile": OWN},
        "share/own/data-@VERSION@",
    ),
    "data": _other(
        "data",
        {"spkg-install.in": 'sdh_install -T src/data "$SAGE_SHARE/data/data-$PKG_VER"'},
        _DATA,
        "share/data/data-@VERSION@",
    ),
    "straight": _other(
        "straight", {"spkg-install.in": STRAIGHT}, _DATA, "share/straight/data-@VERSION@"
    ),
    "executable": _other(
        "executable", {"spkg-install": EXECUTABLE}, _DATA, "share/executable/data-@VERSION@"
    ),
    "built_before": _other(
        "built_before",
        {
            "spkg-build.in": 'cp src/data "made-$PKG_VER"',
            "spkg-install.in": 'sdh_install "made-$PKG_VER" "$SAGE_SHARE/before"',
        },
        _DATA,
        "share/before/made-@VERSION@",
    ),
    "beside": _other(
        "beside",
        {"spkg-install.in": BESIDE, **FILES_BESIDE},
        {"gone": "data\n", "other": ""},
        "share/beside/with blank @VERSION@",
    ),
    "functions": _other(
        "functions", {"spkg-install.in": FUNCTIONS}, _DATA, "share/functions/data of-@VERSION@"
    ),
    "strict": _other(
        "strict",
        {"spkg-install.in": STRICT, "spkg-postinst.in": RAN, "spkg-prerm.in": RAN},
        _DATA,
        "bin/strict-@VERSION@",
    ),
    "program": _other(
        "program", {"spkg-install": PROGRAM_OF_PYTHON}, _DATA, "share/program/data-@VERSION@"
    ),
    "nothing": _none,
}
