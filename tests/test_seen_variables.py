"""Which variables count for a build, and where a directory stands in what they say."""

from __future__ import annotations

import pytest

from sage_pkginstall.builds.seen_variables import Places, seen_variables

PLACES = Places({"SAGE_LOCAL": "/opt/sage/local", "SAGE_ROOT": "/opt/sage", "none": "/"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/opt/sage", "{SAGE_ROOT}"),
        ("/opt/sage/", "{SAGE_ROOT}/"),
        ("-I/opt/sage/local/include -L/opt/sage/lib", "-I{SAGE_LOCAL}/include -L{SAGE_ROOT}/lib"),
        ("-Wl,-rpath,/opt/sage/lib", "-Wl,-rpath,{SAGE_ROOT}/lib"),
        ('-isystem/opt/sage -DX="/opt/sage"', '-isystem{SAGE_ROOT} -DX="{SAGE_ROOT}"'),
        ("/opt/sage/local:/opt/sage:/usr", "{SAGE_LOCAL}:{SAGE_ROOT}:/usr"),
        ("/opt/sage-2/include", "/opt/sage-2/include"),
        ("/opt/sage/local2", "{SAGE_ROOT}/local2"),
        ("/mnt/opt/sage", "/mnt/opt/sage"),
        ("-I/mnt/opt/sage", "-I/mnt/opt/sage"),
    ],
)
def test_directory_is_replaced_where_it_stands_as_a_whole(text: str, told: str) -> None:
    assert PLACES.without(text) == told


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "aws_secret_access_key", "TWINE_PASSWORD"])
def test_secret_counts_and_is_not_told(name: str) -> None:
    one, other = (seen_variables({name: value})[name] for value in ("s3cret", "s3cret2"))
    assert one != other
    assert "s3cret" not in one
    assert "s3cret" not in str(seen_variables({"MAKEFLAGS": f"-- {name}=s3cret"}))


def test_url_with_a_password_counts_and_is_not_told() -> None:
    one, other = (
        seen_variables({"DATABASE_URL": f"postgres://me:{word}@host/x"})["DATABASE_URL"]
        for word in ("s3cret", "s3cret2")
    )
    assert one != other
    assert "s3cret" not in one
    flags = seen_variables({"CFLAGS": "-include /x.h -DURL=https://s3cret@host/"})["CFLAGS"]
    assert flags.startswith("-include /x.h -DURL=https://")  # a file that counts
    assert "s3cret" not in flags
    assert seen_variables({"URL": "https://host/x@1"}) == {"URL": "https://host/x@1"}


def test_network_does_not_count() -> None:
    assert seen_variables({"https_proxy": "http://x/", "SSL_CERT_FILE": "/etc/bundle.crt"}) == {}


@pytest.mark.parametrize(
    "name",
    ["GNOME_TERMINAL_SCREEN", "KONSOLE_DBUS_WINDOW", "KITTY_WINDOW_ID", "WSL_INTEROP", "ZELLIJ",
     "SHELL_SESSION_ID", "SESSION_MANAGER", "SUDO_COMMAND", "LC_TERMINAL_VERSION"],
)  # fmt: skip
def test_window_of_the_terminal_does_not_count(name: str) -> None:
    """Each has another value in each window, or after each login: nothing would be built once."""
    assert seen_variables({name: "1", "LC_ALL": "C"}) == {"LC_ALL": "C"}


def test_settings_of_uv_count_where_its_build_backend_heeds_them() -> None:
    assert seen_variables({"UV_PREVIEW": "1", "UV_CACHE_DIR": "/x"}) == {"UV_PREVIEW": "1"}


def test_variables_of_make_are_those_of_its_command_line() -> None:
    flags = "ks -j4 --jobserver-auth=3,4 -- CFLAGS:=-a\\ -b V=1 EMPTY= OTHER+=c"
    assert seen_variables({"MAKEFLAGS": flags}) == {
        "CFLAGS of make": ":=-a\\ -b",
        "EMPTY of make": "=",
        "OTHER of make": "+=c",
    }


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ("", None),
        ("Bks -j4 --jobserver-auth=3,4 -l2 -Otarget --no-print-directory -- CC=-i", None),
        ("w", None),
        ("i", "i"),
        ("eks -j4 -- $(MAKEOVERRIDES)", "e"),
        ("irR -I/x --eval=A:=b --trace", "--eval=A:=b -I/x R i r"),
        (" -I/x -Otarget", "-I/x"),
        ("-j8 -ik", "i"),
        ("--ignore-errors", "--ignore-errors"),
        ("CFLAGS=-i", None),
    ],
)
def test_options_of_make_count_if_they_change_what_is_made(flags: str, options: str | None) -> None:
    """With ``make -i`` half a library passes for a whole one, and was taken without it, too."""
    assert seen_variables({"MAKEFLAGS": flags}).get("options of make") == options


def test_what_follows_the_program_in_make_counts() -> None:
    assert seen_variables({"MAKE": "make -j 4 -s"}) == {}
    assert seen_variables({"MAKE": "gmake -j4 -i CC=clang", "MAKEFLAGS": "e"}) == {
        "CC of make": "=clang",
        "options of make": "e i",
    }
