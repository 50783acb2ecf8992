from __future__ import annotations

import json
import os
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from benchmarks import completeness, results
from benchmarks.environments import delete_removed, remove
from benchmarks.figures import Figures, Result
from benchmarks.goals import GOALS, Verdict, verdicts
from benchmarks.measuring import Job, JobFailedError, Usage, measure
from benchmarks.picture import picture
from benchmarks.places import Places
from benchmarks.report import filled, write
from benchmarks.suite import asked_for
from benchmarks.table import counterpart, goals_table, lock_table, markdown, plain_table
from benchmarks.tools import all_tools
from benchmarks.wheels import Wheels
from benchmarks.works.growing import write_distributions
from tests.trees import plant
from tests.wheelmaker import make_wheel


def result(work: str, tool: str, number: int, cpu: float, **seconds: list[float]) -> Result:
    return Result(work, tool, number, Usage(cpu, 2 * cpu, 10 * cpu), seconds=seconds)


# ------------------------------------------------------------------------------- figures


def test_value_is_the_median_of_all_rounds() -> None:
    figures = Figures(result("a", "pip", n, cpu) for n, cpu in enumerate((5.0, 1.0, 2.0)))
    assert figures.value("a", "pip", "cpu") == 2.0
    assert figures.value("a", "pip", "wall") == 4.0
    assert figures.value("a", "uv", "cpu") is None
    assert figures.rounds("a", "pip") == 3


def test_ratio_compares_within_rounds_because_the_machine_drifts() -> None:
    ours = [result("a", "ours", n, cpu) for n, cpu in enumerate((1.0, 10.0, 100.0))]
    other = [result("a", "uv", n, cpu) for n, cpu in enumerate((2.0, 20.0, 200.0))]
    figures = Figures([*ours, *other[:2], *other[2:]])
    assert figures.ratio(("a", "ours"), ("a", "uv"), "cpu") == 0.5


def test_ratio_leaves_out_rounds_that_only_one_side_did() -> None:
    ours = [result("a", "ours", n, cpu) for n, cpu in enumerate((1.0, 100.0))]
    figures = Figures([*ours, result("a", "pip", 0, 4.0)])
    assert figures.ratio(("a", "ours"), ("a", "pip"), "cpu") == 0.25
    assert figures.ratio(("a", "ours"), ("a", "nobody"), "cpu") is None


def test_works_and_tools_keep_the_order_in_which_they_were_measured() -> None:
    figures = Figures([result("b", "uv", 0, 1.0), result("a", "pip", 0, 1.0)])
    assert figures.works() == ("b", "a")
    assert figures.tools("a") == ("pip",)


@pytest.mark.parametrize("word", ["g", "g-files", "g-files-10"])
def test_works_are_chosen_by_whole_words(word: str) -> None:
    assert asked_for("g-files-10", ["a-six", word])
    assert not asked_for("g-files-100", ["a-six", "g-files-10", "c20"])
    assert not asked_for("c20", ["c"])


def test_runs_do_not_share_their_places(tmp_path: Path) -> None:
    with (
        Places(tmp_path).alone(),
        pytest.raises(SystemExit, match="another run uses"),
        Places(tmp_path).alone(),
    ):
        raise AssertionError
    with Places(tmp_path).alone():
        pass


def test_wheels_that_cannot_be_had_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "NO_INDEX": "1",
        "FIND_LINKS": str(tmp_path),
        "CONFIG_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(SystemExit, match=r"cannot fetch the wheels of .*/wheels\.txt: pip says"):
        Wheels(Places(tmp_path)).fetch()


# --------------------------------------------------------------------------------- goals


def test_a_goal_is_met_if_every_metric_is_within_it() -> None:
    ours = Result("b", "ours, cold", 0, Usage(cpu=1.0, wall=3.0, memory=1))
    for cpu, wall, met in ((2.0, 6.0, True), (2.0, 2.0, False), (0.5, 6.0, False)):
        figures = Figures([ours, Result("b", "uv, cold", 0, Usage(cpu, wall, 1))])
        assert [verdict.met for verdict in verdicts(figures)] == [met]


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdicts(Figures([result("a-six", "ours, cold", 0, 1.0)])) == ()


def test_the_lock_is_judged_by_median_and_by_the_worst() -> None:
    held = [0.001] * 9
    good = Figures([result("c-8", "ours, cold", 0, 1.0, held=held)])
    bad = Figures([result("c-8", "ours, cold", 0, 1.0, held=[*held, 0.030])])
    assert [verdict.met for verdict in verdicts(good)] == [True]
    assert verdicts(bad) == (
        Verdict(
            "c",
            "ours, cold: lock held, median ≤ 3 ms, worst ≤ 25 ms",
            "median 1.00 ms, worst 30.0 ms",
            met=False,
        ),
    )


def test_growth_compares_works_of_one_tool() -> None:
    figures = Figures(
        [result("g-50", "ours, cold", 0, 1.0), result("g-5000", "ours, cold", 0, 1.2)]
    )
    assert [(verdict.work, verdict.met) for verdict in verdicts(figures)] == [("g-5000", True)]


def test_goals_name_tools_that_there_are(tmp_path: Path) -> None:
    known = {tool.label for tool in all_tools(Places(tmp_path))}
    known |= {"ours", "cp -Rp", "tar | tar", "unzip, compile, 2 processes"}
    assert {name for goal in GOALS for name in (goal.ours, goal.other)} - known == set()


def test_every_tool_is_compared_with_one_of_ours(tmp_path: Path) -> None:
    labels = {tool.label for tool in all_tools(Places(tmp_path))}
    assert {counterpart(label) for label in labels} <= labels
    assert counterpart("uv, warm, no .pyc") == "ours, warm, no .pyc"
    assert counterpart("pip") == "ours, cold"
    assert counterpart("cp -Rp") == "ours"


# -------------------------------------------------------------------------- tables, page


RUN = results.Run(
    {"Python": "3.13.1"},
    {"a-six": "six", "c-8": "8 at once"},
    (
        result("a-six", "uv, cold", 0, 2.0),
        result("a-six", "ours, cold", 0, 1.0, held=[0.002], waited=[0.0]),
        result("c-8", "tar | tar", 0, 1.0),
    ),
)


def test_markdown_table() -> None:
    assert markdown(("a", "b"), [("x | y", "1")], right=1) == (
        "| a | b |\n| --- | ---: |\n| x \\| y | 1 |"
    )


def test_goals_table_tells_what_is_missed() -> None:
    assert goals_table(RUN.figures).splitlines()[2:] == [
        "| a-six | ours, cold ≤ 0.6 of uv, cold | CPU 0.5, wall 0.5 | yes |"
    ]


def test_plain_table_has_every_tool_of_every_work() -> None:
    text = plain_table(RUN.works, RUN.figures)
    named = [line[2:30].strip() for line in text.splitlines() if line.startswith("  ")]
    assert named == ["tool", "uv, cold", "ours, cold", "tool", "tar | tar"]


def test_lock_table_is_in_milliseconds() -> None:
    assert lock_table(RUN.figures).splitlines()[2:] == [
        "| a-six | ours, cold | 1 | 2.00 | 2.00 | 0.00 | 0.00 |"
    ]


def test_figures_replace_what_is_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    template = Places().checkout / "benchmarks" / "performance.md.in"
    page = tmp_path / "performance.md"
    write(RUN, template, page)
    first = page.read_text()
    page.write_text(first.replace("# Performance", "# Performance, and why") + "\nMore prose.\n")
    write(RUN, template, page)
    prose = first.replace("# Performance", "# Performance, and why") + "\nMore prose.\n"
    assert page.read_text() == prose
    assert "| uv, cold | 2.000 |" in first
    assert filled(first, RUN) == first


def test_picture_is_xml_with_a_bar_for_each_tool() -> None:
    root = ET.fromstring(picture(RUN.works, RUN.figures))  # noqa: S314 - our own
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [
        "six, CPU seconds",
        "uv, cold",
        "2",
        "ours, cold",
        "1",
        "8 at once, CPU seconds",
    ]


def test_results_of_several_runs_are_read_as_rounds_of_one(tmp_path: Path) -> None:
    files = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for path in files:
        results.begin(path, RUN.facts, RUN.works)
        for one in RUN.results:
            results.append(path, one)
    both = results.read(files)
    assert results.read(files[:1]) == RUN
    assert both.figures.rounds("a-six", "uv, cold") == 2


# -------------------------------------------------------------------------- completeness


def unpacked(directory: Path, wheel: Path) -> Path:
    """Return an environment into which a wheel was unpacked, and its site-packages."""
    site = directory / "lib" / "python3" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path, "foo", "1.0", {"foo/__init__.py": "a = 1\n", "foo/bad.py": "a b\n"})


@pytest.fixture
def site(tmp_path: Path, wheel: Path) -> Path:
    return unpacked(tmp_path / "env", wheel)


def test_complete_installation_is_counted(tmp_path: Path, wheel: Path, site: Path) -> None:
    plain = completeness.check([wheel], tmp_path / "env", compiled=False)
    (site / "foo" / "__pycache__").mkdir()
    (site / "foo" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"")
    compiled = completeness.check([wheel], tmp_path / "env", compiled=True)
    assert (plain.compiled, compiled.compiled) == (0, 1)  # bad.py cannot be compiled
    assert plain.files == compiled.files == 4


def remove_module(site: Path) -> None:
    (site / "foo" / "__init__.py").unlink()


def change_module(site: Path) -> None:
    (site / "foo" / "__init__.py").write_text("a = 2\n")


def shorten_record(site: Path) -> None:
    record = site / "foo-1.0.dist-info" / "RECORD"
    record.write_text("".join(record.read_text().splitlines(keepends=True)[1:]))


def lengthen_record(site: Path) -> None:
    with (site / "foo-1.0.dist-info" / "RECORD").open("a") as file:
        file.write("foo/ghost.py,,\n")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_module, "foo/__init__.py: No such file"),
        (change_module, "foo/__init__.py has another content"),
        (shorten_record, "RECORD does not name foo/__init__.py"),
        (lengthen_record, "RECORD names foo/ghost.py"),
    ],
)
def test_incomplete_installation_does_not_count(
    tmp_path: Path, wheel: Path, site: Path, damage: object, said: str
) -> None:
    assert callable(damage)
    damage(site)
    with pytest.raises(completeness.IncompleteError, match=said):
        completeness.check([wheel], tmp_path / "env", compiled=False)


def test_byte_code_must_be_there_exactly_if_asked_for(
    tmp_path: Path, wheel: Path, site: Path
) -> None:
    with pytest.raises(completeness.IncompleteError, match=r"foo/__init__\.py has no byte-code"):
        completeness.check([wheel], tmp_path / "env", compiled=True)
    (site / "foo" / "__pycache__").mkdir()
    (site / "foo" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"")
    with pytest.raises(completeness.IncompleteError, match=r"foo/__init__\.py has byte-code"):
        completeness.check([wheel], tmp_path / "env", compiled=False)


def test_what_is_uninstalled_must_be_gone(tmp_path: Path, wheel: Path, site: Path) -> None:
    assert site.is_dir()
    with pytest.raises(completeness.IncompleteError, match=r"foo/__init__.py is still there"):
        completeness.absent([wheel], tmp_path / "env")
    assert completeness.absent([wheel], tmp_path / "env", but=[wheel]) == completeness.NOTHING


def test_made_distributions_are_those_that_importlib_metadata_finds(tmp_path: Path) -> None:
    from importlib.metadata import distributions  # noqa: PLC0415 - of this test only

    write_distributions(tmp_path, 3)
    found = sorted(distributions(path=[str(tmp_path)]), key=lambda d: d.name)
    assert [d.name for d in found] == ["made00000", "made00001", "made00002"]
    assert all(Path(file.locate()).exists() for d in found for file in d.files or [])


# ----------------------------------------------------------------------------- measuring


def test_what_a_command_leaves_running_is_waited_for_and_counted(tmp_path: Path) -> None:
    big = f'{sys.executable} -c \'x = bytearray(64 << 20); open("done", "w")\''
    script = f"cd {tmp_path}; ({big}) &"
    used = measure(Job((("sh", "-c", script),), os.environ), tmp_path / "log")
    assert (tmp_path / "done").exists()
    assert used.memory > 64


def test_commands_run_as_many_at_once_as_there_are_slots(tmp_path: Path) -> None:
    wait_for = 'touch "$0/$1"; until [ -e "$0/$2" ]; do :; done'  # ends only beside the other
    commands = tuple(("sh", "-c", wait_for, str(tmp_path), *pair) for pair in ("ab", "ba"))
    measure(Job(commands, os.environ, slots=2), tmp_path / "log")
    assert (tmp_path / "a").exists()


def test_a_failing_command_has_no_figures(tmp_path: Path) -> None:
    job = Job((("true",), ("sh", "-c", "echo reason; exit 3")), os.environ)
    with pytest.raises(JobFailedError, match=r"status 3 of: sh -c echo reason; exit 3\nreason"):
        measure(job, tmp_path / "log")


def test_commands_get_no_settings_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    job = Job((("env",),), Places(tmp_path).variables())
    measure(job, tmp_path / "log")
    assert "PIP_FIND_LINKS" not in (tmp_path / "log").read_text()


def test_results_can_be_written_as_json() -> None:
    one = result("a", "pip", 0, 1.0, held=[0.5])
    assert Result.of_document(json.loads(json.dumps(one.document()))) == one


def test_what_is_removed_takes_no_space_but_its_inodes(tmp_path: Path) -> None:
    directory, kept = tmp_path / "environment", tmp_path / "kept"
    plant(directory, {"a/own": b"x" * 10_000, "a/shared": b"y" * 10_000})
    kept.hardlink_to(directory / "a/shared")
    (directory / "link").symlink_to(kept)
    inode = (directory / "a/own").stat().st_ino
    remove(directory)
    remove(directory)  # it is not there any more
    (left,) = (tmp_path / "removed").rglob("own")
    assert (left.stat().st_ino, left.stat().st_size) == (inode, 0)
    assert kept.read_bytes() == b"y" * 10_000
    assert kept.stat().st_nlink == 1
    assert not directory.exists()
    delete_removed(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]
