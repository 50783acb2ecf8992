"""Asking a prefix: what is installed, whose a file is, what changed, what was done."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.cli.main import main
from sage_pkginstall.cli.terminal import aligned, shown, size_text, time_text
from tests.sageworld import SageWorld
from tests.trees import plant, tree
from tests.wheelmaker import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunCli


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAGE_LOGS", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def world(tmp_path: Path, venv: Path) -> SageWorld:
    return SageWorld.make(tmp_path, venv)


def site(venv: Path) -> str:
    (found,) = (venv / "lib").glob("python3*/site-packages")
    return found.relative_to(venv).as_posix()


def answer(run_cli: RunCli, command: str, *words: str | Path, status: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run_cli(command, "--json", *words, status=status).stdout)
    assert document["schema"] == 1
    return document


def test_names_that_the_locale_does_not_have_are_told(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"\u00e9\u3042.txt": "x"})
    said = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", said)
    assert main(["install", "--quiet", "--prefix", str(venv), str(wheel)]) == 0
    assert main(["files", "--prefix", str(venv), "foo"]) == 0
    said.seek(0)
    assert r"\xe9\u3042.txt" in said.read()


# show, files


def test_show_tells_what_is_known_of_a_distribution(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    needs = ["Requires-Dist: bar>=2"]
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": "x = 1"}, metadata=needs)
    run_cli("install", "--prefix", venv, wheel)
    (facts,) = answer(run_cli, "show", "--prefix", venv, "Foo")["distributions"]
    listed = [
        venv / one["path"] for one in answer(run_cli, "files", "--prefix", venv, "foo")["files"]
    ]
    assert facts["installed"] > 0
    assert facts["transaction"]["label"] == "install foo 1.0"
    assert facts["transaction"]["uid"] == os.getuid()
    assert {key: facts[key] for key in facts if key not in ("installed", "transaction")} == {
        "name": "foo",
        "version": "1.0",
        "kind": "dist-info",
        "record": f"{site(venv)}/foo-1.0.dist-info",
        "installer": "sage-pkginstall",
        "requested": True,
        "origin": wheel.as_uri(),
        "packages": [],
        "requires": ["bar>=2"],
        "files": len(listed),
        "size": sum(path.stat().st_size for path in listed),
    }


def test_show_is_aligned_and_says_who_installed_it(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1.0"))
    lines = run_cli("show", "--prefix", venv, "foo").stdout.splitlines()
    assert lines[0] == "distribution foo 1.0"
    fields = [line.split(":", 1)[0].strip() for line in lines[1:]]
    assert fields == [
        "kind",
        "record",
        "installer",
        "origin",
        "installed",
        "by",
        "requested",
        "files",
    ]
    assert len({len(line) - len(line.split(":", 1)[1].lstrip()) for line in lines[1:]}) == 1
    assert "install foo 1.0" in lines[6]


def test_show_of_a_package_names_its_wheels_and_why_it_was_installed_again(
    world: SageWorld, tmp_path: Path, run_cli: RunCli
) -> None:
    for version in ("1.0", "1.1"):
        world.package("foo", version, {}, wheel=make_wheel(tmp_path, "foo", version))
        world.spkg("foo")
    shown = answer(run_cli, "show", "--prefix", world.prefix, "foo")
    (package,), (distribution,) = shown["packages"], shown["distributions"]
    assert (package["name"], package["version"]) == ("foo", "1.1")
    assert package["distributions"] == ["foo 1.1"]
    assert package["why"] == "before it was foo-1.0"
    assert package["transaction"]["label"] == "install package foo-1.1"
    assert distribution["packages"] == ["foo-1.1"]
    paths = {
        one["path"]: one["of"]
        for one in answer(run_cli, "files", "--prefix", world.prefix, "foo")["files"]
    }
    assert paths[f"{site(world.prefix)}/foo.py"] == "distribution foo 1.1"
    assert paths["var/lib/sage/wheels/foo-1.1-py3-none-any.whl"] == "package foo-1.1"
    text = run_cli("show", "--prefix", world.prefix, "foo-1.1", env={"SAGE_ROOT": str(world.root)})
    assert "  kind:       wheel" in text.stdout.splitlines()


def test_files_are_names_one_a_line(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    wheel = make_wheel(tmp_path, "foo", "1.0", {"foo.py": ""}, data={"data/share/foo x": "1"})
    run_cli("install", "--no-compile", "--prefix", venv, wheel)
    info = f"{site(venv)}/foo-1.0.dist-info"
    names = ("INSTALLER", "METADATA", "RECORD", "REQUESTED", "WHEEL", "direct_url.json")
    expected = [f"{info}/{name}" for name in names] + [f"{site(venv)}/foo.py", "share/foo x"]
    assert run_cli("files", "--prefix", venv, "foo").stdout.splitlines() == expected


# owner


def test_owner_names_all_who_share_a_file_as_it_names_one(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    for name in ("one", "two"):
        wheel = make_wheel(tmp_path, name, "1", {"ns/__init__.py": "", f"ns/{name}.py": ""})
        run_cli("install", "--prefix", venv, wheel)
    package = f"{site(venv)}/ns"
    found = answer(
        run_cli,
        "owner",
        "--prefix",
        venv,
        f"{package}/__init__.py",
        venv / package / "one.py",
        package,
    )["paths"]
    both = ["distribution one 1", "distribution two 1"]
    assert [(one["kind"], one["owners"]) for one in found] == [
        ("owned", both),
        ("owned", both[:1]),
        ("owned", both),
    ]


def test_owner_of_byte_code_is_that_of_its_source(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", {"foo.py": ""}))
    path = f"{site(venv)}/__pycache__/foo.cpython-39.opt-1.pyc"
    assert run_cli("owner", "--prefix", venv, path).stdout == f"{path}: distribution foo 1\n"


def test_owner_tells_unowned_from_unknown_from_outside(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    (venv / "mine").write_text("")
    asked = ("mine", "nothing", tmp_path / "venv2")
    found = answer(run_cli, "owner", "--prefix", venv, *asked, status=1)["paths"]
    assert [one["kind"] for one in found] == ["unowned", "unknown", "outside"]


def test_owner_of_a_path_of_any_depth_is_told(venv: Path, run_cli: RunCli) -> None:
    deep = "x/" * 2000 + "x"
    assert "unknown: " in run_cli("owner", "--prefix", venv, deep, status=1).stdout


def test_owner_follows_links_of_directories(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", {"foo.py": ""}))
    link = tmp_path / "link"
    link.symlink_to(venv / site(venv))
    ended = run_cli("owner", "--prefix", venv, link / "foo.py")
    assert ended.stdout == f"{link}/foo.py: distribution foo 1\n"


# status


def test_status_of_an_untouched_prefix_is_clean(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    before = tree(venv)
    assert run_cli("status", "--prefix", venv).stdout == "nothing changed behind our back\n"
    assert tree(venv) == before


def test_status_names_what_was_done_by_hand(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    content = {f"{name}.py": f"{name} = 1" for name in "abc"}
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1", content))
    directory = venv / site(venv)
    (directory / "a.py").unlink()
    (directory / "b.py").write_text("b = 2")
    (directory / "stray.py").write_text("")
    found = answer(run_cli, "status", "--prefix", venv)
    assert [(one["of"], one["path"], one["kind"]) for one in found["files"]] == [
        ("foo 1", f"{site(venv)}/a.py", "missing"),
        ("foo 1", f"{site(venv)}/b.py", "hash"),
    ]
    assert found["unowned"] == [f"{site(venv)}/stray.py"]


def test_status_tells_which_distribution_of_a_package_others_replaced(
    world: SageWorld, tmp_path: Path, run_cli: RunCli
) -> None:
    for name in ("foo", "gone", "kept"):
        world.package(name, "1.0", {}, wheel=make_wheel(tmp_path, name, "1.0"))
        world.spkg(name)
    prefix = world.prefix
    run_cli("install", "--prefix", prefix, make_wheel(tmp_path, "foo", "2.0"))
    run_cli("install", "--prefix", prefix, make_wheel(tmp_path, "guest", "3"))
    run_cli("uninstall", "--prefix", prefix, "gone")
    for name in ("foo-2.0", "guest-3"):
        (prefix / site(prefix) / f"{name}.dist-info" / "INSTALLER").write_text("pip\n")
    found = answer(run_cli, "status", "--prefix", prefix)
    assert found["changed"] == [
        {"package": "foo-1.0", "name": "foo", "recorded": "1.0", "found": "2.0", "by": "pip"},
        {"package": "gone-1.0", "name": "gone", "recorded": "1.0", "found": None, "by": ""},
    ]
    assert found["strangers"] == [{"name": "guest", "version": "3", "by": "pip"}]
    text = run_cli("status", "--prefix", prefix).stdout
    assert "  foo-1.0   foo 1.0 was replaced by 2.0 by pip\n" in text
    assert "  gone-1.0  gone 1.0 was uninstalled\n" in text


def test_status_of_what_older_tools_built_with_pip_is_clean(
    world: SageWorld, tmp_path: Path, run_cli: RunCli
) -> None:
    world.package("foo", "1.0", {}, wheel=make_wheel(tmp_path, "foo", "1.0"))
    world.spkg("foo")
    info = world.prefix / site(world.prefix) / "foo-1.0.dist-info"
    rows = (info / "RECORD").read_text().splitlines()
    unhashed = [f"{row.split(',')[0]},," if "INSTALLER" in row else row for row in rows]
    (info / "RECORD").write_text("\n".join(unhashed) + "\n")
    (info / "INSTALLER").write_text("pip\n")
    os.utime(info / "RECORD", (0, 0))
    found = answer(run_cli, "status", "--prefix", world.prefix)
    assert {key: found[key] for key in found if found[key]} == {"schema": 1}


def test_status_looks_at_the_files_of_packages_without_python(
    world: SageWorld, run_cli: RunCli
) -> None:
    made = "; ".join(f"echo 1 >share/{name}" for name in "abc")
    script = f'cd "$SAGE_DESTDIR_LOCAL"; mkdir -p share; {made}\n'
    world.package("data", "1", {"spkg-install.in": script})
    world.spkg("data")
    (world.prefix / "share" / "a").unlink()
    (world.prefix / "share" / "b").write_text("2")
    found = answer(run_cli, "status", "--prefix", world.prefix)["files"]
    assert [(one["of"], one["path"], one["kind"]) for one in found] == [
        ("package data-1", "share/a", "missing"),
        ("package data-1", "share/b", "newer"),
    ]


# log


def test_log_tells_of_each_transaction_in_columns(
    venv: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    run_cli("install", "--prefix", venv, make_wheel(tmp_path, "foo", "1"))
    run_cli("uninstall", "--prefix", venv, "foo")
    head, first, second = run_cli("log", "--prefix", venv).stdout.splitlines()
    assert head.split() == ["when", "user", "took", "waited", "held", "operations", "what"]
    assert first.endswith("  install foo 1")
    assert second.endswith("  uninstall foo 1")
    assert head.index("what") == first.index("install foo") == second.index("uninstall foo")


def test_log_is_cut_to_a_number_and_to_names(venv: Path, tmp_path: Path, run_cli: RunCli) -> None:
    for name in ("foo", "bar", "baz"):
        run_cli("install", "--prefix", venv, make_wheel(tmp_path, name, "1"))
    one = answer(run_cli, "log", "--prefix", venv, "-n", "1")["transactions"]
    assert [t["label"] for t in one] == ["install baz 1"]
    of_foo = answer(run_cli, "log", "--prefix", venv, "Foo")["transactions"]
    assert [t["label"] for t in of_foo] == ["install foo 1"]
    elsewhere = answer(run_cli, "log", "--prefix", venv, "--file", tmp_path / "none")
    assert elsewhere["transactions"] == []


def test_log_tells_of_an_installation_of_nothing(venv: Path, run_cli: RunCli) -> None:
    run_cli("install", "--prefix", venv, "foo; python_version < '3'")
    (one,) = answer(run_cli, "log", "--prefix", venv)["transactions"]
    assert one["label"] == "install nothing"


# how it looks


def test_colours_are_for_terminals_or_who_asks(venv: Path, run_cli: RunCli) -> None:
    def has_colour(*words: str, **env: str) -> bool:
        return "\033[" in run_cli("status", "--prefix", venv, *words, env=env).stdout

    assert not has_colour()
    assert has_colour("--color", "always")
    assert has_colour("--color", "always", NO_COLOR="1")  # the option is nearer
    assert not has_colour("--color", "always", "--json")


def test_names_cannot_reach_the_terminal_as_commands() -> None:
    assert shown("a\x1b[2J\nb\udcff") == "a\\x1b[2J\\nb\\udcff"
    assert shown("Grüße 1") == "Grüße 1"


def test_undecodable_names_are_printed(venv: Path, run_cli: RunCli) -> None:
    (venv / site(venv) / os.fsdecode(b"odd\xff\x1b")).write_text("")
    assert "odd\\udcff\\x1b\n" in run_cli("status", "--prefix", venv).stdout
    said = {"METADATA": b"Name: odd\n", "INSTALLER": b"\x1b[31mpip"}
    plant(venv / site(venv) / "odd-1.0.dist-info", said)
    assert "installer:  \\x1b[31mpip\n" in run_cli("show", "--prefix", venv, "odd").stdout


def test_sizes_and_times_are_for_people() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 123_456, 5_000_000_000, 10**13)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "123.5 kB",
        "5.0 GB",
        "10000.0 GB",
    ]
    assert [time_text(s) for s in (0.0004, 0.9994, 12.34)] == ["0 ms", "999 ms", "12.3 s"]
    assert list(aligned([("a", "1", "x"), ("bcd", "22", "")], right=(1,))) == [
        "a     1  x",
        "bcd  22",
    ]


def test_names_that_others_recorded_cannot_harm_a_terminal(venv: Path, run_cli: RunCli) -> None:
    """Versions come from the names of directories, which anybody may have made."""
    (packages,) = (venv / "lib").glob("python3*/site-packages")
    plant(packages, {
        "x-1\x1b[31m.dist-info/RECORD": b"x\x1b[2J.py,sha256=aa,3\n",
        "x-1\x1b[31m.dist-info/INSTALLER": b"p\x1b[0mip\n",
        "y\x1b[31m.py": b"",
    })  # fmt: skip
    said = ""
    for status, *words in (
        (0, "list"),
        (0, "show", "x"),
        (0, "files", "x"),
        (1, "verify"),
        (0, "status"),
        (0, "doctor"),
        (0, "uninstall", "--dry-run", "x"),
        (0, "uninstall", "x"),
        (1, "uninstall", "x\x1b[31m"),
    ):
        ended = run_cli(str(words[0]), "--prefix", venv, *map(str, words[1:]), status=status)
        said += ended.stdout + ended.stderr
    assert "x 1\\x1b[31m" in said
    assert "\x1b" not in said
