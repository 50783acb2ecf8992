"""Work on names is shared by processes, and errors are told as if there were one."""

from __future__ import annotations

import errno
import gc
import os
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.wheels.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def finish(workers: Workers, names: list[str]) -> list[str]:
    for name in names:
        workers.add(1, name)
    return workers.finish()


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("path", [(), ("where",)])
def test_error_is_the_same_whichever_process_has_it(jobs: int, path: tuple[str, ...]) -> None:
    def work(name: str) -> bool:
        if name == "n9":
            raise OSError(errno.EIO, "what it says", *path)
        return True

    workers = Workers(work, str, jobs=jobs, least=1, batch=4)
    with pytest.raises(OSError, match=r"what it says") as caught:
        finish(workers, [f"n{number}" for number in range(10)])
    workers.kill()
    assert caught.value.args[:2] == (errno.EIO, "what it says")
    assert caught.value.filename == (path[0] if path else None)


def test_long_names_are_handed_on_whole() -> None:
    names = [f"{number}{'/long' * 900}" for number in range(300)]
    workers = Workers(lambda name: name.endswith("/long"), str, jobs=3, least=1, batch=64)
    assert sorted(finish(workers, names)) == sorted(names)


@pytest.mark.parametrize("threads", [0, 1])
def test_nothing_is_forked_beside_other_threads(threads: int, tmp_path: Path) -> None:
    """A lock that one of them holds would stay held in the fork."""
    ended = threading.Event()
    others = [threading.Thread(target=ended.wait) for _ in range(threads)]
    for thread in others:
        thread.start()

    def work(_name: str) -> bool:
        (tmp_path / str(os.getpid())).touch()
        return True

    try:
        finish(Workers(work, str, jobs=3, least=1), [f"n{number}" for number in range(100)])
    finally:
        ended.set()
        for thread in others:
            thread.join()
    processes = {int(path.name) for path in tmp_path.iterdir()}
    assert (processes == {os.getpid()}) is bool(threads)


@pytest.mark.parametrize("call", ["fork", "pipe"])
@pytest.mark.parametrize("possible", [0, 1, 3])
def test_what_cannot_be_started_is_done_without(
    call: str, possible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user, or a container, may have so many processes, and a process so many files."""
    tried: list[str] = []
    real: Callable[[], object] = getattr(os, call)

    def limited() -> object:
        tried.append(call)
        if len(tried) > possible:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real()

    monkeypatch.setattr(os, call, limited)
    descriptors = os.listdir("/dev/fd")  # noqa: PTH208
    workers = Workers(lambda _name: True, str, jobs=9, least=1)
    names = [f"n{number}" for number in range(100)]
    assert sorted(finish(workers, names)) == sorted(names)
    workers.kill()
    assert len(tried) == possible + 1
    assert os.listdir("/dev/fd") == descriptors  # noqa: PTH208


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("forks", [True, False])
def test_what_is_heavy_is_done_by_others_if_there_may_be_any(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, forks: bool
) -> None:
    def work(name: str) -> bool:
        (tmp_path / name).write_text(str(os.getpid()))
        return True

    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    if not forks:
        monkeypatch.setattr(os, "fork", refuse)
    workers = Workers(work, str, jobs=jobs, least=10)
    workers.heavy = 10
    heavy = [f"h{number}" for number in range(40)]
    light = [f"l{number}" for number in range(40)]
    for names in zip(light, heavy, strict=True):
        for weight, name in zip((1, 10), names, strict=True):
            workers.add(weight, name)
    assert sorted(workers.finish()) == sorted(heavy + light)
    by = {int((tmp_path / name).read_text()) for name in heavy}
    assert (os.getpid() in by) is not forks


def test_process_that_heavy_work_ends_is_an_error() -> None:
    workers = Workers(lambda _: os._exit(9), str, jobs=1, least=10)
    workers.heavy = 10
    workers.add(10, "what crashes")
    with pytest.raises(OSError, match=r"died \(status 0x900\): 'what crashes'"):
        workers.finish()
    workers.kill()


def test_threads_that_work_at_once_leave_the_program_its_warnings() -> None:
    """The second begins within the first one's work, and ends after it, if it may."""
    filters = list(warnings.filters)
    events = first_began, second_began, first_ended = [threading.Event() for _ in range(3)]

    def work(name: str) -> bool:
        own, other = (events[:2]) if name == "first" else (second_began, first_ended)
        own.set()
        other.wait(0.3)
        return True

    def first() -> None:
        finish(Workers(work, str, jobs=1, least=1), ["first"])
        first_ended.set()

    def second() -> None:
        first_began.wait()
        finish(Workers(work, str, jobs=1, least=1), ["second"])

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == filters
    assert gc.isenabled()
