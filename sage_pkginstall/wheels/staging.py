"""A wheel, laid out in a staged tree as it shall lie in the prefix.

Before: a staged tree, private to us.  After `stage_wheel`: the same with the files of one
distribution, byte-code and RECORD included.  After an error: with some of them; the
staged tree is to be thrown away, and nothing else has been written.
"""

from __future__ import annotations

import contextlib
import io
import os

from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.fitness import check_fits
from sage_pkginstall.wheels.packed_wheel import WheelPacks
from sage_pkginstall.wheels.staged_wheel import StagedWheel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.archive import WheelArchive
    from sage_pkginstall.wheels.bytecode import SourceCompiler
    from sage_pkginstall.wheels.packed_wheel import PackedWheel
    from sage_pkginstall.wheels.packs import Pack
    from sage_pkginstall.wheels.staged_wheel import WheelIdentity

    MakeCompiler: TypeAlias = Callable[[Path, Environment], AbstractContextManager[SourceCompiler]]
    """Makes what compiles in a staged tree: `sage_pkginstall.wheels.bytecode.staged_compiler`."""

__all__ = ["StagedDistribution", "WheelRequest", "stage_wheel"]


class WheelRequest(NamedTuple):
    """A wheel to be installed, and what its ``*.dist-info`` shall say about that."""

    path: Path
    requested: bool = True
    direct_url: str | None = None
    """Text of direct_url.json (PEP 610)."""
    compile: bool = True


class StagedDistribution(NamedTuple):
    """What was staged; paths are relative to the prefix."""

    name: str
    """Canonical."""
    version: str
    info: str
    """The ``*.dist-info`` directory."""
    paths: frozenset[str]
    """All files, byte-code and RECORD included."""
    requires: tuple[str, ...]
    """Values of Requires-Dist."""
    replaced: frozenset[str] = frozenset()
    """Files that another wheel or package had staged here with another content.

    They are this distribution's now, and the other one's RECORD does not fit them.
    """


def stage_wheel(
    request: WheelRequest,
    environment: Environment,
    root: Path,
    *,
    compiler: MakeCompiler,
    cache: Path | None = None,
) -> StagedDistribution:
    """Lay the wheel out below ``root``, compile it and write its RECORD.

    What an earlier call kept in ``cache`` is not inflated and compiled again.  Raises
    WheelError for a wheel that is none, is damaged or does not fit, before anything is
    written wherever that can be known; ConflictError where something else in the staged
    tree is in the way.
    """
    packs = _packs(cache, request.path)
    packed = packs.find() if packs else None
    if packed is None:
        return _stage_archive(request, environment, root, packs, compiler)
    with contextlib.closing(packed):
        check_fits(request.path, packed.needs, environment)
        with (
            _staged(packed.identity, environment, root) as staged,
            _compiling(request, environment, staged, packs, compiler) as compiled,
        ):
            packed.lay(staged, os.fspath(environment.interpreter))
            info = packed.identity.dist_info_dir
            for name, content in _additional_metadata(request).items():
                stream = io.BytesIO(content)
                staged.add_file(packed.root_scheme, f"{info}/{name}", stream, executable=False)
            staged.set_record(packed.root_scheme, f"{info}/RECORD")
            return _finished(staged, compiled(), packed)


def _packs(cache: Path | None, wheel: Path) -> WheelPacks | None:
    if cache is None or os.environ.get("SAGE_PKGINSTALL_PACKS") == "no":
        return None
    try:
        return WheelPacks(cache, wheel)
    except OSError:
        return None  # there is no such wheel, or it is a pipe: opening the archive says so


@contextlib.contextmanager
def _staged(identity: WheelIdentity, environment: Environment, root: Path) -> Iterator[StagedWheel]:
    staged = StagedWheel(identity, environment, root)
    staged.open()
    try:
        yield staged
    finally:
        staged.close()


def _stage_archive(
    request: WheelRequest,
    environment: Environment,
    root: Path,
    packs: WheelPacks | None,
    compiler: MakeCompiler,
) -> StagedDistribution:
    import installer  # noqa: PLC0415 -- a packed wheel needs none of these

    from sage_pkginstall.wheels.archive import WheelArchive  # noqa: PLC0415
    from sage_pkginstall.wheels.destination import StagedDestination  # noqa: PLC0415

    interpreter = os.fspath(environment.interpreter)
    with WheelArchive.open(request.path) as archive:
        check_fits(request.path, archive.needs, environment)
        if packs and not packs.is_of(archive):
            packs = None
        with (
            _staged(archive.identity, environment, root) as staged,
            _compiling(request, environment, staged, packs, compiler) as compiled,
        ):
            destination = StagedDestination(staged, interpreter)
            keeping = packs.keeping(archive, staged, interpreter) if packs else None
            with keeping or contextlib.nullcontext():
                installer.install(archive, destination, _additional_metadata(request))
            return _finished(staged, compiled(), archive)


@contextlib.contextmanager
def _compiling(
    request: WheelRequest,
    environment: Environment,
    staged: StagedWheel,
    packs: WheelPacks | None,
    make_compiler: MakeCompiler,
) -> Iterator[Callable[[], Sequence[str]]]:
    """Give what returns all byte-code of the wheel that is laid out meanwhile.

    It comes out of a pack, or is compiled as soon as its source is there.
    """
    if not request.compile:
        yield tuple
        return
    pack = packs.find_code(environment) if packs else None
    with make_compiler(staged.place(""), environment) as compiler:
        if pack is None:
            staged.on_source = compiler.add
            yield lambda: _compiled(compiler, environment, staged, packs)
        else:
            with contextlib.closing(pack):
                yield lambda: _unpacked(pack, compiler, environment, staged)


def _compiled(
    compiler: SourceCompiler,
    environment: Environment,
    staged: StagedWheel,
    packs: WheelPacks | None,
) -> Sequence[str]:
    compiled = compiler.finish()
    if packs and staged.sources:
        from sage_pkginstall.wheels.packed_code import take_code  # noqa: PLC0415

        packs.keep_code(
            environment, lambda writer: take_code(writer, staged, compiled, environment)
        )
    return compiled


def _unpacked(
    pack: Pack, compiler: SourceCompiler, environment: Environment, staged: StagedWheel
) -> Sequence[str]:
    from sage_pkginstall.wheels.packed_code import lay_code  # noqa: PLC0415

    laid, rest = lay_code(pack, staged, environment)
    for source in rest:
        compiler.add(source)
    return (*laid, *compiler.finish())


def _finished(
    staged: StagedWheel, compiled: Sequence[str], wheel: WheelArchive | PackedWheel
) -> StagedDistribution:
    staged.write_record(compiled)
    return StagedDistribution(
        name=wheel.identity.name,
        version=wheel.version,
        info=staged.info,
        paths=staged.paths | frozenset(compiled),
        requires=wheel.requires,
        replaced=staged.replaced,
    )


def _additional_metadata(request: WheelRequest) -> dict[str, bytes]:
    files = {"INSTALLER": b"sage-pkginstall\n"}
    if request.requested:
        files["REQUESTED"] = b""
    if request.direct_url is not None:
        files["direct_url.json"] = request.direct_url.encode()
    return files
