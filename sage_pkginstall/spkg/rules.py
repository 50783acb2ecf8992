"""Make rules of the package directories: the text of ``build/make/packages.mk``.

That file says for every package what it is, where it goes and what it needs; what make does
with that stands in ``build/make/Makefile``, which includes it.  For ``build/pkgs/foo``:

    inst_foo := $(SAGE_VENV)/var/lib/sage/installed/foo-1.2.p3      its stamps
    normal_foo, order_foo, build_foo, check_foo, optional_foo       what it needs: names of
                                                                    packages, variables, files
    again_foo                                                       whether it is unfinished
    $(inst_foo): $(call newer,foo) $(again_foo) | $(call first,foo) and how it is installed
        +@$(call install,foo-1.2.p3,SAGE_VENV)

A package of kind pip or none leaves no stamp.  Others need it order-only, and a pip package
is installed whenever it is asked for: pip knows what is there.
"""

from __future__ import annotations

import re

from sage_pkginstall.errors import PackageError
from sage_pkginstall.spkg.package import Package, is_name, package_names, read_package
from sage_pkginstall.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["PYTHON_TOOLCHAIN", "Rules", "make_rules"]

PYTHON_TOOLCHAIN = ("pip", "setuptools", "wheel", "flit_core")
"""The packages that every Python package may count on when it is built."""

_STAMPED = frozenset({"normal", "wheel", "script"})
_LISTS = ("normal", "order", "build", "check", "optional")
_ENVIRONMENT = "$(PYTHON)"
_TOOLCHAIN = "$(PYTHON_TOOLCHAIN)"
_WORD = re.compile(r"[\w.+$(){},/ -]+")
_NO_NAME = re.compile(r"[$(){},/]|FORCE\Z")


class Rules(NamedTuple):
    """The text for make, and what is wrong with the package directories, a sentence each."""

    text: str
    warnings: tuple[str, ...]


class _Needs(NamedTuple):
    """The words of a package's dependencies, a tuple for each of `_LISTS`."""

    package: Package
    words: Mapping[str, tuple[str, ...]]


def make_rules(packages: Path) -> Rules:
    """Return the rules for all package directories in ``packages``.

    A package directory that cannot be read does not keep the others from being built: it
    gets a warning here, and rules that fail with the same sentence.  One with a name that no
    package may have gets the warning only: make would take that apart.
    """
    sound, broken = _read_all(packages)
    names = {*sound, *broken}
    toolchain = _closure(PYTHON_TOOLCHAIN, sound)
    needs = [_needs(package, toolchain) for package in sound.values()]
    warnings = [*broken.values(), *(text for need in needs for text in _oddities(need, names))]
    failing = {name: fault for name, fault in broken.items() if is_name(name)}
    lines = [*_head(sound, failing), *(line for need in needs for line in _facts(need))]
    lines += [line for need in needs for line in _rules(need)]
    return Rules("\n".join(lines) + "\n", tuple(warnings))


def _read_all(packages: Path) -> tuple[dict[str, Package], dict[str, str]]:
    """Return the packages by their names, and the faults of those that cannot be read."""
    sound: dict[str, Package] = {}
    broken: dict[str, str] = {}
    for name in package_names(packages):
        package = _read(packages / name)
        if isinstance(package, Package):
            sound[name] = package
        else:
            broken[name] = str(package)
    return sound, broken


def _read(directory: Path) -> Package | PackageError:
    try:
        return read_package(directory)
    except PackageError as error:
        return error


def _closure(names: Iterable[str], packages: Mapping[str, Package]) -> frozenset[str]:
    """Return ``names`` and what they need, as far as there are such packages."""
    found: set[str] = set()
    pending = [name for name in names if name in packages]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            needs = packages[name].dependencies
            words = (*needs.normal, *needs.order_only, *needs.build)
            pending += [word for word in words if word in packages]
    return frozenset(found)


def _needs(package: Package, toolchain: frozenset[str]) -> _Needs:
    """Return what a package needs, said or unsaid.

    A Python package that is built needs the toolchain, if it is no part of that.
    """
    given = package.dependencies
    order = given.order_only
    if package.makes_wheels:
        order = (*order, _TOOLCHAIN)
    lists = (given.normal, order, given.build, given.check, given.optional)
    return _Needs(
        package,
        {
            key: tuple(
                word.replace(_ENVIRONMENT, "$(environment)")
                for word in dict.fromkeys(words)
                if not (word == _TOOLCHAIN and package.name in toolchain)
            )
            for key, words in zip(_LISTS, lists, strict=True)
        },
    )


def _oddities(needs: _Needs, names: Iterable[str]) -> Iterator[str]:
    """Say which words of the dependencies are neither packages nor anything for make."""
    for word in dict.fromkeys(word for words in needs.words.values() for word in words):
        if word not in names and not _NO_NAME.search(word):
            reason = f"its dependencies name {word!r}, which is no package"
            yield str(PackageError(needs.package.name, reason))


def _head(sound: Mapping[str, Package], broken: Mapping[str, str]) -> Iterator[str]:
    packages = sound.values()
    standard = [p.name for p in packages if p.type in ("base", "standard")]
    yield "# Made by `sage-pkginstall make-rules` from the package directories; do not edit."
    yield _assignment("PACKAGES", [*sound, *broken])
    yield _assignment("STANDARD_PACKAGES", standard)
    yield _assignment("UNSTAMPED_PACKAGES", [p.name for p in packages if p.kind not in _STAMPED])
    yield _assignment("WHEEL_PACKAGES", [p.name for p in packages if p.makes_wheels])
    yield _assignment("BROKEN_PACKAGES", broken)
    yield _assignment("PYTHON_TOOLCHAIN", [name for name in PYTHON_TOOLCHAIN if name in sound])
    for name, fault in broken.items():
        yield f"fault_{name} := {_quoted(fault)}"


def _facts(needs: _Needs) -> Iterator[str]:
    """Say what the package is.  Rules come later: they need the facts of all packages."""
    package = needs.package
    yield ""
    yield f"# {package.full_name}: {package.type}, {package.kind}"
    yield _assignment(f"trees_{package.name}", _distinct(package.trees))
    if package.kind in _STAMPED:
        yield _assignment(f"inst_{package.name}", [_stamp(package, t) for t in package.trees])
        again = [f"$(call unfinished,{package.full_name},{tree})" for tree in package.trees]
        yield _assignment(f"again_{package.name}", again, operator="=")
    for key in _LISTS:
        words = [word for word in needs.words[key] if _WORD.fullmatch(word)]
        if words:
            yield _assignment(f"{key}_{package.name}", words, operator="=")


def _rules(needs: _Needs) -> Iterator[str]:
    package = needs.package
    name, version = package.name, package.full_name
    newer, first = f"$(call newer,{name})", f"| $(call first,{name})"
    yield ""
    for tree in package.trees:
        environment = _environment(package, tree)
        if package.kind in _STAMPED:
            rule = f"{_stamp(package, tree)}: {newer} $(again_{name}) {first}{environment}"
            yield from _once(package, tree, rule, f"\t+@$(call install,{version},{tree})")
        yield f"{name}-{tree}-no-deps: |{environment}"
        yield f"\t+@$(call {'nothing' if package.kind == 'none' else 'install'},{version},{tree})"
        yield f"{name}-{tree}-uninstall:"
        yield f"\t@$(call uninstall,{name},{tree})"  # also of no kind: what was of one before
    if package.makes_wheels:
        yield f"{name}-wheel: | $(environment)"
        yield f"\t+@$(call wheel,{version},{package.trees[0]})"
    if package.kind == "pip":
        yield f"{name}: {newer} {first} $(environment)"
        yield from (f"\t+@$(call install,{version},{tree})" for tree in package.trees)
    elif package.kind == "none":
        yield f"{name}: {newer} {first}"
    yield f"{name}-check: {'$(inst_' + name + ')' if package.kind in _STAMPED else name}"
    yield from (f"\t+@$(call check,{version},{tree})" for tree in package.trees)


def _environment(package: Package, tree: str) -> str:
    """Return the prerequisite of what is to run with the target, or goes into its tree."""
    return " $(environment)" if package.is_python or tree == "SAGE_VENV" else ""


def _distinct(trees: Sequence[str]) -> Iterator[str]:
    """Yield the variables of the trees, but not of one that was named before by another."""
    for number, tree in enumerate(trees):
        before = " ".join(f"$({other})" for other in trees[:number])
        yield f"$(if $(filter {before},$({tree})),,{tree})" if before else tree


def _once(package: Package, tree: str, *lines: str) -> Iterator[str]:
    """Yield lines that are about a tree, for make to pass over if another variable named it."""
    if tree == package.trees[0]:
        yield from lines
    else:
        yield from (f"ifneq ($(filter {tree},$(trees_{package.name})),)", *lines, "endif")


def _stamp(package: Package, tree: str) -> str:
    return f"$({tree})/var/lib/sage/installed/{package.full_name}"


def _assignment(name: str, words: Iterable[str], *, operator: str = ":=") -> str:
    return " ".join((name, operator, *words))


def _quoted(text: str) -> str:
    """Return one argument for the shell, within a recipe of make."""
    quoted = text.replace("'", "'\\''").replace("$", "$$").replace("#", "\\#")
    return "'" + " ".join(quoted.split()) + "'"
