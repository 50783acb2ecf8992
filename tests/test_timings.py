"""The page of timings: its numbers, and what a real browser makes of it."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sage_pkginstall.operations.events import EVENTS, JOB, tell
from tests.conftest import TEMPORARY
from tests.test_json import documented, printed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

    from tests.conftest import RunCli

EVIL = "</script><script>document.title='stolen'</script><!-- <b>&amp;"
BEGAN = 1_800_000_000.0

# Package, what it needs, when it begins and ends (seconds), what becomes of it.
BUILD = (
    ("base", (), 0.0, 2.0, "done"),
    ("other", (), 0.0, 3.0, "done"),
    ("middle", ("base",), 2.1, 6.0, "done"),
    ("late", ("other", "base"), 3.2, 4.0, "failed"),
    ("top", ("middle", "absent"), 6.1, 7.0, "done"),
)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SAGE_LOGS with the events of a build of two job slots."""
    logs = tmp_path / "logs"
    monkeypatch.setenv("SAGE_LOGS", str(logs))
    monkeypatch.setenv(EVENTS, str(logs / "builds" / "20270115T080000Z-1.jsonl"))
    for name, needs, began, ended, result in BUILD:
        _tell_job(monkeypatch, name, needs, (began, ended), result)
    monkeypatch.delenv(EVENTS)
    monkeypatch.delenv(JOB)
    return logs


def _tell_job(
    patch: pytest.MonkeyPatch,
    name: str,
    needs: tuple[str, ...],
    span: tuple[float, float],
    result: str,
) -> None:
    began, ended = (BEGAN + moment for moment in span)
    patch.setenv(JOB, name)

    def at(moment: float, event: str, **facts: object) -> None:
        with pytest.MonkeyPatch.context() as clock:
            clock.setattr("time.time", lambda: moment)
            tell(event, **facts)

    at(
        began, "begins", package=name, version="1.0", tree="/t", kind="normal", mode="all",
        needs=list(needs), slots=2, log=f"/logs/{name}-1.0.log", pid=1,
    )  # fmt: skip
    at(began + 0.1, "phase", name="unpack")
    at(began + 0.2, "phase", name="build")
    at(began + 0.3, "cached", hits=2, misses=1)
    at(began + 0.4, "wheel", taken=name == "base")
    if result == "failed":
        at(ended, "ends", result=result, error=EVIL)
        return
    at(ended - 0.3, "phase", name="install")
    if name == "middle":
        at(ended - 0.25, "waits")
    at(ended - 0.1, "locked", waited=0.05 if name == "middle" else 0.0, held=0.02, label=name)
    sizes = {"wheels": 1, "files": len(name) * 1000, "staged": 0.2, "waited": 0.0, "held": 0.02}
    at(ended, "ends", result=result, error="", built=ended - began, **sizes)


def timings(run_cli: RunCli, *arguments: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run_cli("timings", "--json", *arguments).stdout)
    return document


# --------------------------------------------------------------------------------- numbers


def test_critical_path_is_the_longest_chain_of_those_that_need_each_other(
    logs: Path, run_cli: RunCli
) -> None:
    found = timings(run_cli)
    path = [found["jobs"][index]["package"] for index in found["critical"]]
    assert path == ["base", "middle", "top"]
    assert found["critical_took"] == pytest.approx(2.0 + 3.9 + 0.9)
    assert found["took"] == pytest.approx(7.0)
    critical = {job["package"] for job in found["jobs"] if job["critical"]}
    assert critical == set(path)


def test_each_job_has_the_first_slot_that_is_free(logs: Path, run_cli: RunCli) -> None:
    slots = {job["package"]: job["slot"] for job in timings(run_cli)["jobs"]}
    assert slots == {"base": 0, "other": 1, "middle": 0, "late": 1, "top": 0}


def test_phases_waits_and_locks_have_their_times(logs: Path, run_cli: RunCli) -> None:
    (job,) = (job for job in timings(run_cli)["jobs"] if job["package"] == "middle")
    assert [phase["name"] for phase in job["phases"]] == ["unpack", "build", "install"]
    assert [phase["took"] for phase in job["phases"]] == pytest.approx([0.1, 3.4, 0.3])
    assert job["waited"] == pytest.approx(0.05)
    assert job["held"] == pytest.approx(0.02)
    (lock,), (wait,) = job["locks"], job["waits"]
    assert wait["began"] + wait["took"] == pytest.approx(lock["began"])
    assert (job["hits"], job["misses"], job["taken"], job["made"]) == (2, 1, 0, 1)


def test_last_build_counts_unless_another_is_named(
    logs: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next((logs / "builds").iterdir())
    monkeypatch.setenv(EVENTS, str(logs / "builds" / "20270116T080000Z-1.jsonl"))
    _tell_job(monkeypatch, "alone", (), (0.0, 1.0), "done")
    (logs / "builds" / "20270117T080000Z-1.jsonl").write_text("")  # had no job
    assert [job["package"] for job in timings(run_cli)["jobs"]] == ["alone"]
    assert len(timings(run_cli, "--events", first)["jobs"]) == len(BUILD)


def test_job_that_was_killed_ends_with_the_last_event(logs: Path, run_cli: RunCli) -> None:
    (file,) = (logs / "builds").iterdir()
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if '"ends"' not in line or "top" not in line))
    job = timings(run_cli)["jobs"][-1]
    assert (job["package"], job["result"]) == ("top", "interrupted")
    assert job["took"] == pytest.approx(0.8)


def test_without_events_it_is_said_what_to_do(tmp_path: Path, run_cli: RunCli) -> None:
    for given in ([], ["--events", str(tmp_path / "none")]):
        env = {"SAGE_LOGS": str(tmp_path)}
        said = run_cli("timings", *given, status=1, env=env).stderr
        assert said.startswith("sage-pkginstall timings: cannot read ")
        assert said.endswith("let make build something first, or give --events\n")


def test_json_is_as_documented(logs: Path, run_cli: RunCli) -> None:
    found = timings(run_cli)
    assert found.pop("schema") == 1
    keys = documented("timings")
    wrong = {(name, kind) for name, kind in printed(found) if kind not in keys.get(name, ())}
    assert {
        (n, k) for n, k in wrong if not (k == "integer" and "number" in keys.get(n, ()))
    } == set()
    assert set(keys) == {name for name, _ in printed(found)}


def test_page_holds_all_that_it_needs_and_nothing_closes_its_data(
    logs: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    page = tmp_path / "new" / "page.html"
    assert run_cli("timings", "-o", page).stdout == f"{page}\n"
    text = page.read_text()
    assert text.count("</script>") == 2
    assert "stolen" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert run_cli("timings").stdout == f"{logs / 'timings.html'}\n"
    assert (logs / "timings.html").read_text() == text
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


# --------------------------------------------------------------------------------- browser


@pytest.fixture(params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def browser(tmp_path: Path, colours: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chrome]:
    """Chromium, without a network, that likes light or dark colours."""
    webdriver = pytest.importorskip("selenium.webdriver")
    monkeypatch.setenv("TMPDIR", TEMPORARY)  # where it has a socket, of which the path is short
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = webdriver.ChromeOptions()
    for word in (
        "headless=new",
        "disable-gpu",
        "disable-dev-shm-usage",
        "window-size=1200,1400",
        f"user-data-dir={tmp_path / 'profile'}",
        f"blink-settings=preferredColorScheme={0 if colours == 'dark' else 1}",
        "host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(f"--{word}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = shutil.which("chromium") or ""
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
        assert driver.get_log("browser") == []  # nor any error of the console
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Chrome, logs: Path, run_cli: RunCli) -> Chrome:
    run_cli("timings")
    browser.get((logs / "timings.html").as_uri())
    return browser


def css(page: Chrome, selector: str) -> list[WebElement]:
    return page.find_elements("css selector", selector)


def names(page: Chrome) -> list[str]:
    """The packages of the table, in its order."""
    return [cell.text.removesuffix("-1.0") for cell in css(page, "#table tbody td:first-child")]


def heading(page: Chrome, title: str) -> WebElement:
    (found,) = (one for one in css(page, "#table th button") if one.text.startswith(title))
    return found


browser_test = pytest.mark.needs("chromium", "chromedriver")


@browser_test
def test_page_renders_in_light_and_dark(page: Chrome, colours: str) -> None:
    assert page.title == "Where the time went"
    assert len(css(page, "#timeline .job")) == len(BUILD)
    assert len(css(page, "#timeline .critical")) == 3
    assert len(css(page, "#timeline .failed")) == 1
    assert len(css(page, "#timeline rect.waits")) == 1
    assert len(css(page, "#timeline rect.lock")) == 4
    assert [one.text for one in css(page, "#critical .name")] == [
        "base-1.0",
        "middle-1.0",
        "top-1.0",
    ]
    assert css(page, "#slowest .name")[0].text == "middle-1.0"
    figures = {
        one.text.split("\n")[0]: one.text.split("\n")[1] for one in css(page, "#figures div")
    }
    assert figures["The build took"] == "7.0 s"
    assert figures["Critical path"] == "6.8 s"
    assert figures["Wheels taken from the cache"] == "1 of 5"
    assert figures["Requirements in the cache"] == "10 of 15"
    background = css(page, "body")[0].value_of_css_property("background-color")
    brightness = sum(map(int, background[background.index("(") + 1 : -1].split(",")[:3])) / 3
    assert (brightness < 128) == (colours == "dark")


@browser_test
def test_table_sorts_by_every_column(page: Chrome) -> None:
    assert names(page) == ["middle", "other", "base", "top", "late"]  # the slowest first
    heading(page, "Package").click()
    assert names(page) == ["base", "late", "middle", "other", "top"]
    assert css(page, "#table th")[0].get_attribute("aria-sort") == "ascending"
    heading(page, "Package").click()
    assert names(page) == ["top", "other", "middle", "late", "base"]
    heading(page, "Began").click()
    assert names(page)[0] == "top"
    heading(page, "Files").click()
    assert names(page) == ["middle", "other", "base", "top", "late"]
    for button in css(page, "#table th button"):
        button.click()
        assert sorted(names(page)) == ["base", "late", "middle", "other", "top"]
    assert len(css(page, "#table th[aria-sort]")) == 1


@browser_test
def test_table_filters_by_text_and_by_the_critical_path(page: Chrome) -> None:
    (field,) = css(page, "#filter")
    field.send_keys("LATE fail")
    assert names(page) == ["late"]
    assert css(page, "#count")[0].text == "1 of 5"
    field.clear()
    field.send_keys("x")
    assert names(page) == []
    field.send_keys("\b")
    css(page, "#only-critical")[0].click()
    assert names(page) == ["middle", "base", "top"]


@browser_test
def test_everything_can_be_done_by_keyboard(page: Chrome) -> None:
    keys = pytest.importorskip("selenium.webdriver").Keys
    body = css(page, "body")[0]
    body.send_keys(keys.TAB)
    assert page.switch_to.active_element.text == "To the table of packages"
    css(page, "#timeline .job[tabindex='0']")[0].send_keys(keys.ARROW_RIGHT)
    assert css(page, "#details")[0].text.startswith("other-1.0: 3.0 s from 0 s on (unpack")
    page.switch_to.active_element.send_keys(keys.END)
    assert css(page, "#details")[0].text.startswith("top-1.0: ")
    page.switch_to.active_element.send_keys(keys.ENTER)
    assert page.switch_to.active_element.tag_name == "tr"
    assert "top-1.0" in page.switch_to.active_element.text
    heading(page, "Package").send_keys(keys.ENTER)
    assert names(page)[0] == "base"
    css(page, "input[value=slot]")[0].send_keys(keys.ARROW_RIGHT)
    rows = [one.text for one in css(page, "#timeline .row")]
    assert rows == ["base-1.0", "other-1.0", "middle-1.0", "late-1.0", "top-1.0"]
    width = css(page, "#timeline svg")[0].size["width"]
    css(page, "#zoom-in")[0].send_keys(keys.SPACE)
    assert css(page, "#timeline svg")[0].size["width"] == pytest.approx(2 * width, rel=0.02)


@browser_test
def test_names_and_errors_are_text_whatever_they_hold(page: Chrome) -> None:
    assert page.title == "Where the time went"
    (row,) = css(page, "#table tr.failed")
    assert row.get_attribute("title") == EVIL
