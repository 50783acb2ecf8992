"""What the scripts of package directories may count on, in the styles of many years."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.sageworld import BIN, SageWorld
from tests.sources import make_source, source_files
from tests.trees import plant

if TYPE_CHECKING:
    from pathlib import Path

PATCH = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n"


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv)


# ---------------------------------------------------------------- what lies beside a script


def test_script_finds_what_lies_beside_it_in_the_package_directory(world: SageWorld) -> None:
    directory = world.package(
        "foo",
        "1",
        {
            "patches/Makefile": "install:\n",
            "data/with blank": "d",
            "spkg-install.in": (
                "cp patches/Makefile src/ && rm -r patches && echo more >>data/'with blank'\n"
                'cd src && sdh_install Makefile ../data "$SAGE_SHARE/foo"'
            ),
        },
        source={"f": ""},
    )
    world.spkg("foo")
    assert world.tree()["share/foo/Makefile"] == b"install:\n"
    assert world.tree()["share/foo/data/with blank"] == b"dmore\n"
    assert (directory / "data" / "with blank").read_text() == "d"


@pytest.mark.parametrize("shebang", ["#!/bin/sh\n. ./part\n", "#!/usr/bin/env bash\nsource part\n"])
def test_executable_script_runs_beside_its_other_files(world: SageWorld, shebang: str) -> None:
    script = shebang + 'mkdir -p "$SAGE_DESTDIR_LOCAL" && echo "$TEXT" >"$SAGE_DESTDIR_LOCAL/foo"\n'
    world.package("foo", "1", {"spkg-install": script, "part": "TEXT=part\n"}, source={"f": ""})
    world.spkg("foo")
    assert world.tree()["foo"] == b"part\n"


def test_executable_script_may_be_python_and_may_have_lost_its_mode(world: SageWorld) -> None:
    script = (
        "#!/usr/bin/env python3\nimport os\nfrom pathlib import Path\n"
        "to = Path(os.environ['SAGE_DESTDIR_LOCAL'], 'share')\n"
        "to.mkdir(parents=True)\n(to / 'foo').write_text(Path('src/f').read_text())\n"
    )
    directory = world.package("foo", "1", {"spkg-install": script}, source={"f": "x"})
    (directory / "spkg-install").chmod(0o644)
    world.spkg("foo")
    assert world.tree()["share/foo"] == b"x"


def test_executable_script_without_shebang_is_bash(world: SageWorld) -> None:
    words = ("install", "check", "prerm", "postrm")
    files = {f"spkg-{word}": f'words=({word}); echo "ran ${{words[0]}}"\n' for word in words}
    world.package("foo", "1", files)
    said = world.spkg("foo", "-c").stdout + world.clean("foo").stdout
    assert [line.split()[-1] for line in said.splitlines() if "] ran " in line] == [*words]


def test_carriage_returns_of_a_script_stay_but_at_the_ends_of_its_lines(world: SageWorld) -> None:
    install = "printf 'a\rb' >f\r\nsdh_install f \"$SAGE_SHARE\"\r\n"
    world.package("foo", "1", {"spkg-install.in": install.encode()})
    world.spkg("foo")
    assert world.tree()["share/f"] == b"a\rb"


def test_byte_order_mark_is_no_part_of_the_first_command(world: SageWorld) -> None:
    """Editors of Windows write one: bash took it for the begin of a name, and went on."""
    world.package("foo", "1.0", {"spkg-install.in": '\ufeffsdh_install type "$SAGE_SHARE"\n'})
    world.spkg("foo")
    assert world.tree()["share/type"] == b"optional\n"


@pytest.mark.parametrize("options", [(), ("-w",)])
def test_script_whose_interpreter_is_missing_has_failed(
    world: SageWorld, options: tuple[str, ...]
) -> None:
    files = {"spkg-install.in": 'sdh_install f "$SAGE_SHARE"', "f": ""}
    world.package("foo", "1", {**files, "spkg-check": "#!/no/such/program\n"})
    ended = world.spkg("foo", "-c", *options, status=0 if options else 1)
    assert "spkg-check, or the program that its first line names, is not there" in ended.stderr
    assert "its script spkg-check failed (exit status 127)" in ended.stderr
    assert bool(options) == ("share/f" in world.tree())


def test_patches_never_change_what_is_only_linked(world: SageWorld) -> None:
    install = 'sdh_install src/f "$SAGE_SHARE"'
    world.package(
        "foo", "1", {"patches/a.patch": PATCH, "src/f": "one\n", "spkg-install.in": install}
    )
    for _ in range(2):
        world.spkg("foo")
        assert world.tree()["share/f"] == b"two\n"
    (world.root / "f").write_text("one\n")
    world.package("bar", "1", {"patches/a.patch": PATCH, "spkg-install.in": install})
    world.spkg("bar")
    assert (world.root / "f").read_text() == "one\n"


@pytest.mark.parametrize("where", ["build/bin", "src/bin"])
def test_script_finds_the_programs_of_the_source_tree_after_ours(
    world: SageWorld, where: str
) -> None:
    plant(world.root / where, {"sage-helper": b"#!/bin/sh\necho helped\n", "sage-spkg": b""})
    for path in (world.root / where).iterdir():
        path.chmod(0o755)
    install = "#!/bin/sh\nsage-helper && command -v sage-spkg\n"
    world.package("foo", "1", {"spkg-install": install})
    said = world.spkg("foo").stdout
    assert "] helped\n" in said
    assert f"] {BIN / 'sage-spkg'}\n" in said


def test_script_may_ask_for_the_platform(world: SageWorld) -> None:
    install = 'set -u\n[ "$UNAME" = "$(uname)" ] && sdh_install spkg-install "$SAGE_SHARE"'
    world.package("foo", "1", {"spkg-install.in": install})
    world.spkg("foo")
    assert "share/spkg-install" in world.paths()


@pytest.mark.parametrize("name", ["spkg-install", "spkg-install.in"])
def test_script_goes_to_its_own_source_whatever_cdpath_says(
    world: SageWorld, tmp_path: Path, name: str
) -> None:
    shebang = "#!/bin/sh\n" if name == "spkg-install" else ""
    install = f'{shebang}cd src && mkdir -p "$SAGE_DESTDIR_LOCAL" && cp f "$SAGE_DESTDIR_LOCAL"\n'
    world.package("foo", "1", {name: install}, source={"f": "right"})
    plant(tmp_path / "home/src", {"f": b"wrong"})
    world.spkg("foo", CDPATH=str(tmp_path / "home"))
    assert world.tree()["f"] == b"right"


def test_script_that_deletes_its_build_directory_is_told_so(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": 'cd / && rm -r "$SAGE_BUILD_DIR/$PKG_NAME"'})
    before = world.tree()
    assert "its scripts deleted" in world.spkg("foo", status=1).stderr
    assert world.tree() == before


# ------------------------------------------------------------ scripts after the transaction


def test_postinst_changes_the_tree_itself(world: SageWorld) -> None:
    install = 'sdh_install src/f "$SAGE_SHARE/foo"'
    postinst = (
        'set -u\nsdh_install src/g "$SAGE_SHARE/foo"\necho "$SAGE_DESTDIR" >"$SAGE_DESTDIR_LOCAL/h"'
    )
    files = {"spkg-install.in": install, "spkg-postinst.in": postinst}
    world.package("foo", "1", files, source={"f": "f", "g": "g"})
    world.spkg("foo")
    assert world.tree()["share/foo/g"] == b"g"
    assert world.tree()["h"] == b"\n"


@pytest.mark.parametrize("name", ["spkg-pipinst.in", "spkg-postinst.in"])
def test_wheel_of_a_script_after_the_transaction_is_installed(world: SageWorld, name: str) -> None:
    before = world.tree()
    files = {"spkg-install.in": ":", name: "cd src && sdh_pip_install .\n"}
    files["version_requirements.txt"] = "tiny\n"
    world.package("tiny", "1.0", files, source=source_files("tiny", "1.0"))
    for _ in range(2):
        world.spkg("tiny")
        assert [path for path in world.paths() if path.endswith("tiny-1.0.dist-info/RECORD")]
    world.clean("tiny")
    stored = "var/lib/sage/wheels/tiny-1.0-py3-none-any.whl"  # by hand: no record has it
    assert world.paths() - before.keys() == {stored}


# --------------------------------------------------------------------------- Python packages


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("-v .", {}),
        (". --no-build-isolation --no-deps", {}),
        (
            "-Cone=1 -C two='a b' --config-setting three=c .",
            {"one": "1", "two": "a b", "three": "c"},
        ),
        ("--no-build-isolation --build-isolation --no-isolation ./", {}),
        ("--no-index --find-links /nowhere --no-binary :all: --ignore-requires-python .", {}),
        ("--upgrade --ignore-installed --force-reinstall --no-cache-dir --use-pep517 .", {}),
        (
            "--global-option build_ext --global-option='-I x' --build-option=-q .",
            {"--global-option": ["build_ext", "-I x"], "--build-option": "-q"},
        ),
    ],
)
def test_helpers_take_the_options_of_pip(
    world: SageWorld, options: str, settings: dict[str, object]
) -> None:
    files = {"spkg-install.in": f"cd src && sdh_pip_install {options}"}
    files["version_requirements.txt"] = "tiny\n"
    world.package("tiny", "1.0", files, source=source_files("tiny", "1.0"))
    world.spkg("tiny", SAGE_PKGINSTALL_BUILT="no")
    (report,) = [path for path in world.paths() if path.endswith("/tiny.json")]
    assert json.loads((world.prefix / report).read_text())["settings"] == (settings or None)


@pytest.mark.parametrize("environment", ["the tree's own", "another"])
def test_script_may_install_the_wheel_that_it_stored_itself(
    world: SageWorld, environment: str
) -> None:
    local = world.prefix if environment != "another" else world.root / "local"
    local.mkdir(exist_ok=True)
    before = world.tree()
    script = 'cd src && sdh_build_and_store_wheel . && sage-pip-install --no-deps "$wheel"'
    for version in ("1.0", "1.0", "2.0"):
        world.package(
            "tiny", version, {"spkg-install.in": script}, source=source_files("tiny", version)
        )
        world.spkg("tiny", SAGE_LOCAL=str(local))
        (info,) = {path.split("/")[3] for path in world.paths() if "dist-info" in path}
        assert info == f"tiny-{version}.dist-info"
    nothing = script.partition(" && sage-pip-install")[0]
    world.package("tiny", "3.0", {"spkg-install.in": nothing}, source=source_files("tiny", "3.0"))
    world.spkg("tiny", SAGE_LOCAL=str(local))
    assert not any("dist-info" in path for path in world.paths())
    world.clean("tiny", SAGE_LOCAL=str(local))
    assert world.tree() == before


@pytest.mark.parametrize(
    "script",
    [
        "export SAGE_DESTDIR=$PWD/mine && sdh_pip_install .",
        'sdh_build_wheel . && sage-pkginstall stage-wheel "$PWD"/dist/*.whl',
        "SAGE_SPKG_SCRIPTS=$PWD/mine && sdh_pip_install .",
    ],
)
def test_wheel_goes_with_its_package_however_its_script_queued_it(
    world: SageWorld, script: str
) -> None:
    before = world.tree()
    files = {"spkg-install.in": f"cd src && {script}"}
    world.package("tiny", "1.0", files, source=source_files("tiny", "1.0"))
    world.spkg("tiny")
    assert any(path.endswith("/tiny-1.0.dist-info/RECORD") for path in world.paths())
    world.clean("tiny")
    assert world.tree() == before


def test_wheel_package_builds_its_sources_where_no_wheel_fits(world: SageWorld) -> None:
    directory = world.package("tiny", "1.0", {}, source=source_files("tiny", "1.0"))
    sums = (directory / "checksums.ini").read_text()
    alien = f"tarball=tiny-VERSION-cp27-cp27m-win32.whl\nsha256={'0' * 64}\n"
    (directory / "checksums.ini").write_text(f"[win]\n{alien}[sources]\n{sums}")
    (directory / "version_requirements.txt").write_text("tiny\n")
    world.spkg("tiny")
    assert any(path.endswith("/tiny-1.0.dist-info/RECORD") for path in world.paths())


def test_editable_package_may_store_a_wheel_too(world: SageWorld) -> None:
    before = world.tree()
    script = "cd src && sdh_pip_editable_install . && sdh_build_and_store_wheel --no-isolation ."
    directory = world.package("tiny", "1.0", {"spkg-install.in": script})
    make_source(directory / "src", "tiny")
    world.spkg("tiny")
    (url,) = [path for path in world.paths() if path.endswith("direct_url.json")]
    assert b'"editable": true' in world.tree()[url]  # type: ignore[operator]
    assert "var/lib/sage/wheels/tiny-1.0-py3-none-any.whl" in world.paths()
    world.clean("tiny")
    assert world.tree() == before
