from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sage_pkginstall.spkg.stamp import read_stamp
from tests.sageworld import BIN, ORDINARY_USER, SageWorld
from tests.sources import make_source
from tests.trees import EMPTY, Link, modes, plant
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

INSTALLED = "var/lib/sage/installed"
SCRIPTS = "var/lib/sage/scripts"

CONFIGURE = """#!/bin/sh
for word; do case $word in --prefix=*) echo "prefix = ${word#--prefix=}" >config.mk ;; esac; done
"""
MAKEFILE = """include config.mk
all: hello
hello: hello.c
\t$(CC) -o $@ $<
install: all
\tmkdir -p $(DESTDIR)$(prefix)/bin $(DESTDIR)$(prefix)/lib64
\tcp hello $(DESTDIR)$(prefix)/bin/hello
\techo static >$(DESTDIR)$(prefix)/lib64/libhello.la
\techo data >$(DESTDIR)$(prefix)/lib64/hello.data
check: all
\t./hello
"""
HELLO = '#include <stdio.h>\nint main(void) { puts("hello %s"); return 0; }\n'
BUILD = "cd src\nsdh_configure\nsdh_make\nsdh_make_install\n"


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv)


def program(world: SageWorld, version: str, install: str = BUILD, check: str = "") -> None:
    world.package(
        "hello",
        version,
        {"spkg-install.in": install} | ({"spkg-check.in": check} if check else {}),
        source={"configure": CONFIGURE, "Makefile": MAKEFILE, "hello.c": HELLO % version},
    )


@pytest.mark.needs("cc", "make")
def test_program_is_configured_made_merged_and_removed_without_residue(world: SageWorld) -> None:
    before = world.tree()
    program(world, "1.0", check="cd src\nsdh_make_check\n")
    ended = world.spkg("hello", "-c")
    assert "[hello-1.0] hello 1.0" in ended.stdout
    stamp = read_stamp(world.prefix / INSTALLED / "hello-1.0")
    assert stamp.files is not None
    added = world.paths() - set(before)
    assert added == {f"{INSTALLED}/hello-1.0", *stamp.files}
    assert stamp.files == (
        "bin/hello",
        "lib/hello.data",
        f"{SCRIPTS}/hello/spkg-check",
    )
    assert stamp.test_result == "passed"
    assert world.tree()["lib/hello.data"] == b"data\n"
    assert (world.prefix / "lib64").is_symlink()
    assert not (world.prefix / "var/tmp/sage/build/hello-1.0").exists()
    world.clean("hello")
    assert world.tree() == before


@pytest.mark.needs("cc", "make")
def test_upgrade_replaces_files_and_record_at_once(world: SageWorld) -> None:
    program(world, "1.0", BUILD + 'sdh_install config.mk "$SAGE_SHARE/old"\n')
    world.spkg("hello")
    assert "share/old/config.mk" in world.paths()
    program(world, "2.0.p1")
    world.spkg("hello-2.0.p1")
    assert "share/old/config.mk" not in world.paths()
    assert not (world.prefix / "share/old").exists()
    assert [path.name for path in (world.prefix / INSTALLED).iterdir()] == ["hello-2.0.p1"]


def test_keep_existing_leaves_files_of_the_older_version(world: SageWorld) -> None:
    world.package(
        "foo",
        "1",
        {"spkg-install.in": 'sdh_install "$SAGE_ROOT/build/pkgs/foo/a" "$SAGE_SHARE"', "a": "1"},
    )
    world.spkg("foo")
    world.package(
        "foo",
        "1",
        {"spkg-install.in": 'sdh_install "$SAGE_ROOT/build/pkgs/foo/b" "$SAGE_SHARE"', "b": "1"},
    )
    said = world.spkg("-k", "foo")
    assert "overwritten" not in said.stdout + said.stderr  # its own stamp, say
    assert {"share/a", "share/b"} <= world.paths()
    world.clean("foo")
    assert not world.paths() & {"share/a", "share/b"}


def test_distribution_that_was_kept_goes_with_its_package(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    wheel, other = (make_wheel(tmp_path, name, "1") for name in ("foo", "bar"))
    store = "sdh_store_and_pip_install_wheel .\n"
    both = {"spkg-install.in": f"{store}cp '{other}' dist/\n{store}"}
    world.package("foo", "1", both, wheel=wheel)
    world.spkg("foo")
    world.package("foo", "2", {"spkg-install.in": store}, wheel=wheel)
    world.spkg("-k", "foo")
    lines = (world.prefix / SCRIPTS / "foo/spkg-requirements.txt").read_text().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["foo", "bar"]
    world.clean("foo")
    assert world.tree() == before


def test_damaged_requirements_are_not_kept(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    wheel = make_wheel(tmp_path, "foo", "1")
    world.package("foo", "1", {}, wheel=wheel)
    world.spkg("foo")
    requirements = world.prefix / SCRIPTS / "foo/spkg-requirements.txt"
    whole = requirements.read_bytes()
    requirements.write_bytes(b"\0\0\0\nfoo @ file:///caf\xe9.whl\n-r \xff\n")
    world.package("foo", "2", {}, wheel=wheel)
    world.spkg("-k", "foo")
    assert requirements.read_bytes() == whole
    world.clean("foo")
    assert world.tree() == before


@pytest.mark.parametrize(
    "script", ["spkg-preinst.in", "spkg-build.in", "spkg-install.in", "spkg-check.in"]
)
def test_failing_script_leaves_the_installed_version(world: SageWorld, script: str) -> None:
    install = 'echo $PKG_VER >f; sdh_install f "$SAGE_SHARE"'
    world.package("foo", "1", {"spkg-install.in": install})
    world.spkg("foo")
    before = world.tree()
    world.package("foo", "2", {"spkg-install.in": install, script: f"{install}\nfalse"})
    ended = world.spkg("foo", "-c", status=1)
    assert (
        f"cannot handle package foo: its script {script[:-3]} failed (exit status 1)"
        in ended.stderr
    )
    assert world.tree() == before


def test_failing_check_that_only_warns_is_recorded(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true", "spkg-check.in": "false"})
    ended = world.spkg("foo", "-w")
    assert "Warning: cannot handle package foo: its script spkg-check failed" in ended.stderr
    assert read_stamp(world.prefix / INSTALLED / "foo-1").test_result == "failed"


def test_failing_postinst_fails_but_says_that_it_is_installed(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true", "spkg-postinst.in": "exit 7"})
    ended = world.spkg("foo", status=1)
    assert f"it is installed in {world.prefix}, but its script spkg-postinst failed" in ended.stderr
    assert f"{INSTALLED}/foo-1" in world.paths()


def test_scripts_run_in_order_around_the_transaction(world: SageWorld) -> None:
    line = 'echo "{}: $([ -e "$SAGE_SPKG_INST/foo-1" ] && echo there)" >>"$SAGE_ROOT/order"'
    names = ("preinst", "build", "install", "check", "pipinst", "postinst", "prerm", "postrm")
    world.package("foo", "1", {f"spkg-{name}.in": line.format(name) for name in names})
    world.spkg("foo", "--check")
    world.clean("foo")
    assert (world.root / "order").read_text().splitlines() == [
        "preinst: ",
        "build: ",
        "install: ",
        "check: ",
        "pipinst: there",
        "postinst: there",
        "prerm: there",
        "postrm: ",
    ]


def test_failing_prerm_forbids_removal_with_its_status(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true", "spkg-prerm.in": "exit 7"})
    world.spkg("foo")
    before = world.tree()
    world.clean("foo", status=7)
    assert world.tree() == before


def test_failing_postrm_is_a_warning(world: SageWorld) -> None:
    before = world.tree()
    world.package("foo", "1", {"spkg-install.in": "true", "spkg-postrm.in": "exit 7"})
    world.spkg("foo")
    assert "spkg-postrm failed (exit status 7)" in world.clean("foo").stderr
    assert world.tree() == before


def test_clean_of_what_is_not_installed_says_nothing(world: SageWorld) -> None:
    before = world.tree()
    for name in ("foo", "foo-1.2"):
        ended = world.clean(name, world.prefix)
        assert (ended.stdout, ended.stderr) == ("", "")
    assert world.tree() == before
    world.clean("foo", world.prefix / "nowhere", status=2)


def test_wheel_package_needs_no_script(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    wheel = make_wheel(tmp_path, "foo", "1.0", scripts={"foo": "foo:main"})
    world.package("foo", "1.0", {"version_requirements.txt": "foo"}, wheel=wheel)
    world.spkg("foo")
    stored = f"var/lib/sage/wheels/{wheel.name}"
    assert read_stamp(world.prefix / INSTALLED / "foo-1.0").files == (
        f"{SCRIPTS}/foo/spkg-piprm",
        f"{SCRIPTS}/foo/spkg-requirements.txt",
        stored,
    )
    line = f"foo @ file://{world.prefix / stored}\n"
    assert world.tree()[f"{SCRIPTS}/foo/spkg-requirements.txt"] == line.encode()
    assert {"bin/foo", stored} <= world.paths()
    (url,) = [p for p in world.paths() if p.endswith("direct_url.json")]
    assert (world.prefix / stored).as_uri() in world.tree()[url].decode()  # type: ignore[union-attr]
    world.clean("foo")
    assert world.tree() == before


def test_pip_uninstall_script_works_by_hand(world: SageWorld, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0")
    world.package("foo", "1.0", {}, wheel=wheel)
    world.spkg("foo")
    script = world.prefix / SCRIPTS / "foo" / "spkg-piprm"
    mine = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([script], check=True, env=mine)
    assert not [path for path in world.paths() if "foo" in path and "site-packages" in path]
    assert f"{INSTALLED}/foo-1.0" in world.paths()
    world.clean("foo")


def test_python_source_is_built_stored_and_installed(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    source = make_source(tmp_path / "source", "tiny")
    files = {path.name: path.read_text() for path in source.iterdir()}
    world.package(
        "tiny",
        "1.0",
        {"spkg-install.in": "cd src\nsdh_pip_install .", "version_requirements.txt": "tiny"},
        source=files,
    )
    world.spkg("tiny")
    assert "var/lib/sage/wheels/tiny-1.0-py3-none-any.whl" in world.paths()
    assert any(path.endswith("site-packages/tiny.json") for path in world.paths())
    world.clean("tiny")
    assert world.tree() == before


def test_mixed_package_is_one_transaction(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    one, two = (make_wheel(tmp_path, name, "1.0") for name in ("one", "two"))
    install = (
        'mkdir dist; cp "$SAGE_ROOT"/build/pkgs/mixed/one*.whl dist\n'
        "sdh_store_and_pip_install_wheel .\n"
        'cp "$SAGE_ROOT"/build/pkgs/mixed/two*.whl dist\n'
        "sdh_store_and_pip_install_wheel .\n"
        'echo data >data; sdh_install data "$SAGE_SHARE/mixed"\n'
    )
    wheels = {wheel.name: wheel.read_bytes() for wheel in (one, two)}
    world.package("mixed", "1", {"spkg-install.in": install, **wheels})
    world.spkg("mixed")
    site = next(path for path in world.paths() if path.endswith("/one.py")).removesuffix("one.py")
    assert {f"{site}two.py", "share/mixed/data"} <= world.paths()
    # The new version has no distribution `two`, and fails at first.
    world.package("mixed", "2", {"spkg-install.in": install + "false", **wheels})
    world.spkg("mixed", status=1)
    assert {f"{site}two.py", "share/mixed/data", f"{INSTALLED}/mixed-1"} <= world.paths()
    world.package("mixed", "2", {"spkg-install.in": "\n".join(install.splitlines()[:2]), **wheels})
    world.spkg("mixed")
    assert f"{site}one.py" in world.paths()
    assert not [path for path in world.paths() if "two" in path or "share" in path]
    world.clean("mixed")
    assert world.tree() == before


def test_script_package_sees_its_source_tree(world: SageWorld) -> None:
    world.package(
        "foo",
        "1",
        {"spkg-install": '#!/bin/sh\ncp src/data "$SAGE_DESTDIR_LOCAL/data"\n', "src/data": "x"},
    )
    world.package("bar", "1", {"spkg-install.in": "[ -d src/build/pkgs/bar ]"})
    world.spkg("foo")
    world.spkg("bar")
    assert world.tree()["data"] == b"x"
    world.clean("foo")
    assert "data" not in world.paths()


def test_package_of_kind_none_has_nothing_to_install(world: SageWorld) -> None:
    world.package("foo", "1", {})
    assert "stands for a package of the system" in world.spkg("foo", status=1).stderr


def test_staged_python_is_refused_unless_let_through(world: SageWorld) -> None:
    before = world.tree()
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    install = f'd=$(python3 -c "{purelib}")\necho >m.py; sdh_install m.py "$d"\n'
    world.package("foo", "1", {"spkg-install.in": install})
    assert "with sdh_pip_install" in world.spkg("foo", status=1).stderr
    assert world.tree() == before
    world.spkg("foo", SAGE_STAGED_PYTHON="warn")
    assert any(path.endswith("/m.py") for path in world.paths())
    world.clean("foo")
    assert world.tree() == before


def test_patches_are_applied_in_order(world: SageWorld) -> None:
    patch = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-{}\n+{}\n"
    world.package(
        "foo",
        "1",
        {
            "patches/01-a.patch": patch.format("one", "two"),
            "patches/02-b.patch": patch.format("two", "three"),
            "spkg-install.in": 'sdh_install src/f "$SAGE_SHARE"',
        },
        source={"f": "one\n", "g": ""},
    )
    world.spkg("foo")
    assert world.tree()["share/f"] == b"three\n"
    world.package(
        "foo",
        "2",
        {"patches/01.patch": patch.format("no", "yes"), "spkg-install.in": ":"},
        source={"f": "x\n"},
    )
    assert "01.patch does not apply" in world.spkg("foo", status=1).stderr


def test_shebang_of_a_wrapped_script_is_an_error(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "#!/bin/sh\ntrue\n"})
    assert "spkg-install.in begins with a shebang" in world.spkg("foo", status=1).stderr


def test_tampered_tarball_is_refused(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true"}, source={"f": ""})
    with (world.root / "upstream/foo-1.tar.gz").open("ab") as file:
        file.write(b"x")
    assert "the sha256 of " in world.spkg("-d", "foo", status=1).stderr


def test_stage_and_post_install_are_the_two_halves(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": 'echo >f; sdh_install f "$SAGE_SHARE"'})
    before = world.tree()
    assert "run sage-spkg without -p" in world.spkg("-p", "foo", status=1).stderr
    world.spkg("-b", "foo")
    assert world.tree() == before
    world.spkg("-p", "foo")
    assert "share/f" in world.paths()
    assert not (world.prefix / "var/tmp/sage/build/foo-1").exists()


def test_build_directory_is_kept_when_asked_for_and_erased(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true"})
    directory = world.prefix / "var/tmp/sage/build/foo-1"
    world.spkg("-s", "foo")
    assert directory.exists()
    world.spkg("-e", "foo")
    assert not directory.exists()
    world.spkg("foo", SAGE_KEEP_BUILT_SPKGS="yes")
    assert directory.exists()


def test_check_only_runs_the_check(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true", "spkg-check.in": "exit 5"})
    assert "spkg-check failed (exit status 5)" in world.spkg("-x", "foo", status=1).stderr
    world.spkg("-x", "-w", "foo")
    assert f"{INSTALLED}/foo-1" not in world.paths()


def test_check_sees_the_distribution_that_is_about_to_come(
    world: SageWorld, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0"):
        wheel = make_wheel(tmp_path, "foo", version)
        check = f"python3 -c \"import foo, sys; sys.exit(foo.version != '{version}')\""
        world.package("foo", version, {"spkg-check.in": check}, wheel=wheel)
        world.spkg("foo", "-c")
    world.spkg("-x", "foo")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--nonsense", "foo"], 2),
        (["-d", "-b", "foo"], 1),
        (["nopackage"], 1),
        (["foo-2"], 1),
        ([], 2),
    ],
)
def test_wrong_command_lines(world: SageWorld, arguments: list[str], status: int) -> None:
    world.package("foo", "1", {"spkg-install.in": "true"})
    world.spkg(*arguments, status=status)
    assert f"{INSTALLED}/foo-1" not in world.paths()


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ("n", 0),
        ("ktw -j8", 0),
        ("q", 1),
        (" -j8 --jobserver-auth=3,4 -- t=n", None),
        ("-Oline", None),
    ],
)
def test_makes_questions_are_answered_without_work(
    world: SageWorld, flags: str, status: int | None
) -> None:
    world.package("foo", "1", {"spkg-install.in": "true"})
    world.spkg("foo", status=status or 0, MAKEFLAGS=flags)
    assert (f"{INSTALLED}/foo-1" in world.paths()) == (status is None)


def test_info_tells_what_the_package_is(world: SageWorld) -> None:
    world.package("foo", "1", {"SPKG.rst": "foo: a thing\n"})
    assert world.spkg("--info", "foo").stdout == "foo: a thing\n"


def test_experimental_packages_need_no_no(world: SageWorld) -> None:
    world.package("foo", "1", {"type": "experimental", "spkg-install.in": "true"})
    world.spkg("-n", "foo", status=1)
    world.spkg("-y", "foo")


def test_output_has_a_prefix_and_a_log(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "echo out; echo err >&2"})
    ended = world.spkg("foo")
    lines = [line for line in ended.stdout.splitlines() if line.split()[-1] in {"out", "err"}]
    assert lines == ["[foo-1] out", "[foo-1] err"]
    assert all(line.startswith("[foo-1] ") for line in ended.stdout.splitlines())
    assert (world.root / "logs/pkgs/foo-1.log").read_text() == ended.stdout


def test_log_says_why_the_system_failed(world: SageWorld) -> None:
    world.package("foo", "1", {"spkg-install.in": "true"})
    world.spkg("foo", status=1, SAGE_PKGINSTALL_FAIL="ENOSPC@1")
    log = (world.root / "logs/pkgs/foo-1.log").read_text()
    assert "cannot go on: No space left on device" in log


def test_empty_directories_arrive_and_go(world: SageWorld) -> None:
    before = world.tree()
    world.package("foo", "1", {"spkg-install.in": 'mkdir -p "$SAGE_DESTDIR_LOCAL/var/empty"'})
    world.spkg("foo")
    assert world.tree()["var/empty"] == EMPTY
    world.clean("foo")
    assert world.tree() == before


@pytest.mark.parametrize("mode", ["000", "555"])
@pytest.mark.parametrize("closed", ["lib", "share/d", "."])
def test_directory_that_a_script_closes_is_opened(world: SageWorld, closed: str, mode: str) -> None:
    install = f"""
mkdir -p "$SAGE_DESTDIR_LOCAL/share/d" work/a/b
echo 1 >"$SAGE_DESTDIR_LOCAL/share/d/f"
echo 1 >"$SAGE_DESTDIR_LOCAL/lib/f.la"
cd "$SAGE_DESTDIR_LOCAL"
chmod {mode} {closed}
"""
    world.package("foo", "1", {"spkg-install.in": install})
    world.run("/usr/bin/env", *ORDINARY_USER, BIN / "sage-spkg", "foo")
    assert world.tree()["share/d/f"] == b"1\n"
    assert not (world.prefix / "lib/f.la").exists()


def test_modes_behind_a_link_are_left_alone(world: SageWorld, tmp_path: Path) -> None:
    elsewhere = plant(tmp_path / "elsewhere", {"d/secret": b""})
    (elsewhere / "d/secret").chmod(0o600)
    links = f'ln -s "{elsewhere}" "$SAGE_DESTDIR_LOCAL/link"'
    world.package("foo", "1", {"spkg-install.in": links})
    world.spkg("foo")
    inst = f'rm -rf "$SAGE_DESTDIR" && ln -s "{elsewhere}" "$SAGE_DESTDIR"'
    world.package("bar", "1", {"spkg-install.in": inst})
    world.spkg("bar")
    assert (elsewhere / "d/secret").stat().st_mode & 0o777 == 0o600


def test_build_directory_with_closed_directories_is_deleted(world: SageWorld) -> None:
    """As a test suite leaves them that was interrupted; nothing could be built there any more."""
    install = "mkdir -p a/b/c && touch a/b/c/f && chmod 000 a/b/c && chmod 300 a/b && chmod 100 a"
    spkg = ("/usr/bin/env", *ORDINARY_USER, BIN / "sage-spkg")
    world.package("foo", "1", {"spkg-install.in": f"{install}; false"})
    world.run(*spkg, "foo", status=1)
    world.package("foo", "1", {"spkg-install.in": install})
    assert "Warning" not in world.run(*spkg, "foo").stderr
    assert not (world.prefix / "var/tmp/sage/build").exists()


def test_directory_called_as_a_libtool_file_arrives(world: SageWorld) -> None:
    install = 'mkdir "$SAGE_DESTDIR_LOCAL/lib/x.la" && touch "$SAGE_DESTDIR_LOCAL/lib/x.la/f"'
    world.package("foo", "1", {"spkg-install.in": install})
    world.spkg("foo")
    assert "lib/x.la/f" in world.paths()


@pytest.mark.parametrize("within", [".", "venv"])
def test_locks_and_journals_that_are_staged_stay_out(world: SageWorld, within: str) -> None:
    """As `sage-pip-install --root=$SAGE_DESTDIR` leaves them: the lock is held meanwhile."""
    tree = world.prefix / within
    lock = plant(tree, {"var/lock/pip3.lock": b"", "var/tmp/sage": EMPTY}) / "var/lock/pip3.lock"
    before = lock.stat().st_ino
    install = f"""
mkdir -p "$SAGE_DESTDIR_LOCAL/{within}"
cd "$SAGE_DESTDIR_LOCAL/{within}"
mkdir -p share var/lock var/tmp/sage/T-1
for file in share/f var/lock/pip3.lock var/lock/pip3.lock.holder var/tmp/sage/journal; do
    echo x >$file
done
"""
    world.package("foo", "1", {"spkg-install.in": install})
    world.spkg("foo")
    assert lock.stat().st_ino == before
    assert list((tree / "var/tmp/sage").iterdir()) == []
    stamp = json.loads((world.prefix / "var/lib/sage/installed/foo-1").read_bytes())
    place = "" if within == "." else f"{within}/"
    assert stamp["files"] == [f"{place}{path}" for path in ("share/f", "var/lock", "var/tmp")]
    world.clean("foo")
    assert lock.stat().st_ino == before


def test_modes_links_and_odd_names_arrive(world: SageWorld) -> None:
    install = r"""
cd "$SAGE_DESTDIR_LOCAL"
mkdir -p share "share/read only"
echo x >$'share/a "b"\nc'
chmod 4755 share/a*
ln -s a share/l
echo x >$'share/\xff'
echo y >share/h1
ln share/h1 share/h2
echo z >"share/read only/z"
chmod 0444 "share/read only/z"
chmod 0555 "share/read only"
"""
    world.package("foo", "1", {"spkg-install.in": install})
    before = world.tree()
    world.spkg("foo")
    found = world.tree()
    assert found["share/l"] == Link("a")
    assert found["share/\udcff"] == b"x\n"
    assert modes(world.prefix)['share/a "b"\nc'] == 0o4755
    assert (world.prefix / "share/h1").stat().st_ino == (world.prefix / "share/h2").stat().st_ino
    world.clean("foo")
    assert world.tree() == before


def test_tools_of_the_target_and_the_helpers_are_found(world: SageWorld) -> None:
    install = 'command -v python3 sage-pip-install; echo "$MAKE"; type -t sdh_make'
    world.package("foo", "1", {"spkg-install.in": install})
    lines = world.spkg("foo").stdout.splitlines()
    assert f"[foo-1] {world.prefix}/bin/python3" in lines
    assert "[foo-1] make" in lines
    assert "[foo-1] function" in lines


def test_files_outside_of_the_tree_are_named_and_left_out(world: SageWorld) -> None:
    world.package(
        "foo",
        "1",
        {"spkg-install.in": 'mkdir -p "$SAGE_DESTDIR/etc"; echo >"$SAGE_DESTDIR/etc/foo"'},
    )
    assert "1 staged files are left out" in world.spkg("foo").stderr


def test_disabled_python_installs_nothing_and_succeeds(world: SageWorld, tmp_path: Path) -> None:
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path, "foo", "1.0"))
    world.spkg("foo", SAGE_VENV_FLAGS="DISABLED")
    assert not [path for path in world.paths() if "site-packages/" in path]


def test_pip_package_is_installed_by_pip_without_a_record(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    make_wheel(tmp_path / "index", "foo", "1.0")
    world.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    world.package("foo", "1", {"requirements.txt": "# why\nfoo >=1\n", "spkg-postinst.in": ":"})
    world.spkg("foo")
    assert any(path.endswith("/foo.py") for path in world.paths())
    assert not (world.prefix / INSTALLED).exists()
    world.clean("foo")
    assert world.tree() == before
    assert world.clean("foo").stderr == ""


def test_what_another_package_has_stays_when_a_pip_package_goes(
    world: SageWorld, tmp_path: Path
) -> None:
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path / "index", "foo", "1.0"))
    world.spkg("foo")
    before = world.tree()
    make_wheel(tmp_path / "index", "more", "1.0")
    world.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    for requirements in ("foo\nmore\n", "foo\n"):
        world.package("bar", "1", {"requirements.txt": requirements})
        world.spkg("bar")
        world.clean("bar")
        assert world.tree() == before


def test_pip_package_goes_whatever_pip_was_told_of_it(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    wheel = make_wheel(tmp_path / "index", "foo", "1.0")
    world.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    for line in (f"-c limits.txt\nfoo[x] @ {wheel.as_uri()}", "foo --no-binary bar", str(wheel)):
        world.package("foo", "1", {"requirements.txt": f"{line}\n", "limits.txt": "foo<2\n"})
        world.spkg("foo")
        assert any(path.endswith("/foo.py") for path in world.paths())
        world.clean("foo")
        assert world.tree() == before


def test_editable_package_is_recorded_and_goes(world: SageWorld, tmp_path: Path) -> None:
    before = world.tree()
    directory = world.package(
        "tiny", "1.0", {"spkg-install.in": "cd src\nsdh_pip_editable_install ."}
    )
    make_source(directory / "src", "tiny")
    world.spkg("tiny")
    (path,) = [path for path in world.paths() if path.endswith("direct_url.json")]
    url = json.loads((world.prefix / path).read_text())
    source = (directory / "src").as_uri()
    assert url == {"dir_info": {"editable": True}, "url": source}
    requirements = world.prefix / "var/lib/sage/scripts/tiny/spkg-requirements.txt"
    assert requirements.read_text() == f"tiny @ {source}\n"  # not the link in the build directory
    world.clean("tiny")
    assert world.tree() == before


@pytest.mark.needs("make")
def test_job_slots_of_make_reach_the_build(world: SageWorld, tmp_path: Path) -> None:
    install = "printf 'all: a b\\na b: ; @echo built $@\\n' >Makefile; sdh_make"
    world.package("foo", "1", {"spkg-install.in": install})
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"all:\n\t+@'{BIN}/sage-logger' -p '{BIN}/sage-spkg foo' log\n")
    ended = subprocess.run(
        ["make", "-f", makefile, "-j2", "all"],
        env={**os.environ, "SAGE_ROOT": str(world.root), "SAGE_LOCAL": str(world.prefix)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[log] built a" in ended.stdout
    assert "[log] [foo-1]" not in ended.stdout
    assert "jobserver" not in ended.stdout + ended.stderr


def test_spkg_build_is_plain_and_spkg_install_runs_under_sudo(
    world: SageWorld, tmp_path: Path
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nSUDO=yes exec "$@"\n')
    sudo.chmod(0o755)
    line = 'echo "{} ${{SUDO:-no}}" >>"$SAGE_ROOT/order"; '
    scripts = {f"spkg-{n}.in": line.format(n) for n in ("preinst", "build", "install")}
    world.package("foo", "1", scripts)
    world.spkg("-b", "foo", SAGE_SUDO=str(sudo))
    world.package("foo", "1", {"spkg-install.in": line.format("install")})
    world.spkg("-b", "foo", SAGE_SUDO=str(sudo))
    said = (world.root / "order").read_text().splitlines()
    assert said == ["preinst no", "build no", "install yes", "install no"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_others(world: SageWorld, closed: str) -> None:
    """As of a job of cron or a daemon: neither lock nor log may become standard output."""
    script = 'cat; echo said; echo wrong >&2; sdh_install type "$SAGE_SHARE/foo"'
    world.package("foo", "1", {"spkg-install.in": script})
    for command in ("sage-spkg", "sage-spkg-uninstall"):
        world.run("/bin/sh", "-c", f"'{BIN / command}' foo {closed}")
    log = (world.root / "logs/pkgs/foo-1.log").read_text()
    lines = ["[foo-1] said", "[foo-1] wrong", f"[foo-1] uninstalled foo from {world.prefix}"]
    assert [line for line in log.splitlines() if line in lines] == lines
