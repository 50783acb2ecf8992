from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from sage_pkginstall.builds import descendants as module
from sage_pkginstall.builds.descendants import descendants


@pytest.mark.parametrize("proc", ["/proc", "/nowhere"])
def test_children_and_theirs_are_found(proc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROC", proc)
    if not os.path.exists(f"{proc}/self/stat") and shutil.which("ps") is None:  # noqa: PTH110
        pytest.skip("there is no ps")
    script = "sh -c 'echo $$; read line; :'; :"
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        below = int(process.stdout.readline())
        assert descendants(process.pid) == (below,)
        assert {process.pid, below} <= set(descendants(os.getpid()))
        process.communicate()
    assert descendants(process.pid) == ()
