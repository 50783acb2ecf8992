"""Wheels, laid out in a staged tree as they shall lie in the prefix.

Before: a staged tree, private to us.  After `stage_wheels`: the same with the files of these
distributions, byte-code and RECORDs included.  After an error: with some of them; the
staged tree is to be thrown away, and nothing else has been written.
"""

from __future__ import annotations

import contextlib
import io
import os

from sage_pkginstall.engine.files import current_umask
from sage_pkginstall.values import NamedTuple
from sage_pkginstall.wheels.bytecode import processors
from sage_pkginstall.wheels.compiling import code_of
from sage_pkginstall.wheels.fitness import check_fits
from sage_pkginstall.wheels.packed_wheel import WheelPacks
from sage_pkginstall.wheels.staged_wheel import StagedWheel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias

    from sage_pkginstall.environment import Environment
    from sage_pkginstall.wheels.bytecode import SourceCompiler
    from sage_pkginstall.wheels.linked_files import LinkedFiles
    from sage_pkginstall.wheels.packed_code import PackedCode
    from sage_pkginstall.wheels.packed_wheel import PackedWheel
    from sage_pkginstall.wheels.packs import Pack
    from sage_pkginstall.wheels.staged_wheel import WheelIdentity

    MakeCompiler: TypeAlias = Callable[[Path, Environment], AbstractContextManager[SourceCompiler]]
    """Makes what compiles in a staged tree: `sage_pkginstall.wheels.bytecode.staged_compiler`."""

__all__ = ["StagedDistribution", "WheelRequest", "stage_wheel", "stage_wheels"]


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
    """Lay the wheel out below ``root``, compile it and write its RECORD; see `stage_wheels`."""
    (staged,) = stage_wheels([request], environment, root, compiler=compiler, cache=cache)
    return staged


def stage_wheels(  # noqa: PLR0913 -- what, where, by what means, and who is told
    requests: Iterable[WheelRequest],
    environment: Environment,
    root: Path,
    *,
    compiler: MakeCompiler,
    cache: Path | None = None,
    link_mode: str | None = None,
    told: Callable[[WheelRequest], object] = lambda _request: None,
) -> tuple[StagedDistribution, ...]:
    """Lay the wheels out below ``root``, compile them and write their RECORDs.

    While one is laid out those before it are compiled; RECORD lists byte-code, so all RECORDs
    come last.  What an earlier call kept in ``cache`` is not inflated and compiled again; with
    the ``link_mode`` "hardlink" (default: $SAGE_PKGINSTALL_LINK_MODE, else "copy") its files
    are shared with other prefixes, read-only.
    ``told`` is called when a wheel is laid out.  Raises WheelError for a wheel that is none, is
    damaged or does not fit, before anything of it is written wherever that can be known;
    ConflictError where something else in the staged tree is in the way.
    """
    with contextlib.ExitStack() as compiling:
        staging = _Staging(
            environment, root, cache, lambda: compiling.enter_context(compiler(root, environment))
        )
        staging.links = _links(cache, link_mode)
        for request in requests:
            staging.lay_out(request)
            told(request)
        staging.finish_compiling()
    return tuple(map(staging.finished, staging.laid))


class _Laid(NamedTuple):
    """A wheel that is laid out; its RECORD, and byte-code of it, are still to come.

    ``code`` is the byte-code that came out of a pack, None if there was no pack.
    """

    request: WheelRequest
    staged: StagedWheel
    identity: WheelIdentity
    version: str
    requires: tuple[str, ...]
    packs: WheelPacks | None
    code: Sequence[str] | None


class _Staging:
    """Lays wheels out in one staged tree, and has all compiled by one compiler.

    ``start_compiler`` makes that when it is needed.
    """

    def __init__(
        self,
        environment: Environment,
        root: Path,
        cache: Path | None,
        start_compiler: Callable[[], SourceCompiler],
    ) -> None:
        self._environment = environment
        self._interpreter = os.fspath(environment.interpreter)
        self._root = root
        self._cache = cache
        self._start_compiler = start_compiler
        self._compiler: SourceCompiler | None = None
        self._made: frozenset[str] = frozenset()
        self._replaced: set[str] = set()
        self._overwritten: frozenset[str] = frozenset()  # those with another content
        self.links: LinkedFiles | None = None
        self.laid: list[_Laid] = []

    def lay_out(self, request: WheelRequest) -> None:
        """Write the files of a wheel, and the byte-code that is known of it."""
        packs = _packs(self._cache, request.path)
        packed = packs.find(self.links) if packs else None
        if packs and packed:
            self.laid.append(self._lay_packed(request, packed, packs))
        else:
            self.laid.append(self._lay_archive(request, packs))

    def _lay_packed(self, request: WheelRequest, packed: PackedWheel, packs: WheelPacks) -> _Laid:
        with contextlib.closing(packed):
            check_fits(request.path, packed.needs, self._environment)
            with self._staged(request, packed.identity, packs) as (staged, code):
                packed.lay(staged, self._interpreter)
                info = packed.identity.dist_info_dir
                for name, content in _additional_metadata(request).items():
                    stream = io.BytesIO(content)
                    staged.add_file(packed.root_scheme, f"{info}/{name}", stream, executable=False)
                staged.set_record(packed.root_scheme, f"{info}/RECORD")
                laid = self._laid_code(code)
            facts = packed.identity, packed.version, packed.requires
            return _Laid(request, staged, *facts, packs, laid)

    def _lay_archive(self, request: WheelRequest, packs: WheelPacks | None) -> _Laid:
        import installer  # noqa: PLC0415 -- a packed wheel needs none of these

        from sage_pkginstall.wheels.archive import WheelArchive  # noqa: PLC0415
        from sage_pkginstall.wheels.destination import StagedDestination  # noqa: PLC0415

        with WheelArchive.open(request.path) as archive:
            check_fits(request.path, archive.needs, self._environment)
            if packs and not packs.is_of(archive):
                packs = None
            with self._staged(request, archive.identity, packs) as (staged, code):
                destination = StagedDestination(staged, self._interpreter)
                keeping = packs.keeping(archive, staged, self._interpreter) if packs else None
                with keeping or contextlib.nullcontext():
                    installer.install(archive, destination, _additional_metadata(request))
                laid = self._laid_code(code)
            facts = archive.identity, archive.version, archive.requires
            return _Laid(request, staged, *facts, packs, laid)

    @contextlib.contextmanager
    def _staged(
        self, request: WheelRequest, identity: WheelIdentity, packs: WheelPacks | None
    ) -> Iterator[tuple[StagedWheel, PackedCode | None]]:
        """Give a wheel that can be written, and its byte-code if there is a pack of it.

        As soon as a source is there it is handed to that, else to the compiler.
        """
        staged = StagedWheel(identity, self._environment, self._root)
        staged.on_replaced = self._leave
        staged.links = self.links
        with contextlib.ExitStack() as stack:
            code = None
            if request.compile:
                pack = packs.find_code(self._environment) if packs else None
                compiler = self._compiler = self._compiler or self._start_compiler()
                if pack is None:
                    staged.on_source = lambda number: compiler.add(staged.files[number].path)
                else:
                    code = _packed_code(pack, staged, self._environment)
                    stack.callback(code.close)
                    staged.on_source = code.add
            stack.callback(staged.close)
            staged.open()
            yield staged, code

    def _leave(self, path: str) -> None:
        """Have nothing more to do with a file that a wheel is about to write over."""
        if self._compiler is not None:
            self._compiler.settle(path)
            self._replaced.add(path)

    def _laid_code(self, code: PackedCode | None) -> Sequence[str] | None:
        """Return the byte-code that was in a pack; have the other sources compiled."""
        if code is None:
            return None
        laid, rest = code.finish()
        assert self._compiler is not None  # who has a pack wants byte-code
        for source in rest:
            self._compiler.add(source)
        return laid

    def finish_compiling(self) -> None:
        """Have all byte-code made; that of replaced sources anew, wherever it came from."""
        self._overwritten = frozenset().union(*(laid.staged.replaced for laid in self.laid))
        if self._compiler is None:
            return
        if self._replaced:
            wanted = (laid.staged.sources for laid in self.laid if laid.request.compile)
            for source in sorted(self._replaced & set().union(*wanted)):
                self._compiler.settle(source)
                self._compiler.add(source)
        self._made = frozenset(self._compiler.finish())

    def finished(self, laid: _Laid) -> StagedDistribution:
        """Write the RECORD of a wheel, and keep byte-code that was made of it."""
        compiled: list[str] = []
        if laid.request.compile:
            targets = (code_of(s, self._environment.cache_tag) for s in laid.staged.sources)
            compiled = [target for target in targets if target in self._made]
            self._keep_code(laid, compiled)
        anew = {code_of(source, self._environment.cache_tag) for source in self._replaced}
        compiled = sorted({*compiled, *(code for code in laid.code or () if code not in anew)})
        laid.staged.open()
        try:
            laid.staged.write_record(compiled)
        finally:
            laid.staged.close()
        return StagedDistribution(
            name=laid.identity.name,
            version=laid.version,
            info=laid.staged.info,
            paths=laid.staged.paths | frozenset(compiled),
            requires=laid.requires,
            replaced=laid.staged.replaced,
        )

    def _keep_code(self, laid: _Laid, compiled: Sequence[str]) -> None:
        """Keep byte-code of a wheel, unless another wheel's may lie in its place."""
        packs, staged = laid.packs, laid.staged
        if packs is None or laid.code is not None or not staged.sources:
            return
        if not self._overwritten.isdisjoint(staged.paths):
            return
        from sage_pkginstall.wheels.packed_code import take_code  # noqa: PLC0415

        environment = self._environment
        packs.keep_code(
            environment, lambda writer: take_code(writer, staged, compiled, environment)
        )


def _packed_code(pack: Pack, staged: StagedWheel, environment: Environment) -> PackedCode:
    from sage_pkginstall.wheels.packed_code import PackedCode  # noqa: PLC0415

    return PackedCode(pack, staged, environment, processors())


def _packs(cache: Path | None, wheel: Path) -> WheelPacks | None:
    if cache is None or os.environ.get("SAGE_PKGINSTALL_PACKS") == "no":
        return None
    try:
        return WheelPacks(cache, wheel)
    except OSError:
        return None  # there is no such wheel, or it is a pipe: opening the archive says so


def _links(cache: Path | None, mode: str | None) -> LinkedFiles | None:
    wanted = mode or os.environ.get("SAGE_PKGINSTALL_LINK_MODE")
    if cache is None or not wanted:
        return None
    from sage_pkginstall.wheels.linked_files import linked_files  # noqa: PLC0415

    return linked_files(cache, wanted, current_umask())


def _additional_metadata(request: WheelRequest) -> dict[str, bytes]:
    files = {"INSTALLER": b"sage-pkginstall\n"}
    if request.requested:
        files["REQUESTED"] = b""
    if request.direct_url is not None:
        files["direct_url.json"] = request.direct_url.encode()
    return files
