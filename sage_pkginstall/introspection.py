"""What an interpreter tells of itself: schemes, build, markers, byte-code.

It is run in two ways: by an interpreter that is asked, whose source this file then is
(Python 3.8 or newer; nothing but its standard library is there), and in our own process
where that gives the same answer; see `interpreter`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import sysconfig

__all__ = ["build_facts", "facts_of"]

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def facts_of(executable: str, prefix: str) -> dict[str, object]:
    """Return the facts about the running interpreter when it is started as ``executable``.

    ``prefix`` is that of its virtual environment, or its own.
    """
    in_venv = prefix != sys.base_prefix
    paths = _paths(prefix, in_venv=in_venv)
    notice = None if in_venv else os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")
    schemes = {name: paths[name] for name in ("purelib", "platlib", "scripts", "data")}
    schemes["headers"] = _headers(prefix, paths, in_venv=in_venv)
    return {
        "executable": executable,
        "schemes": schemes,
        "implementation": sys.implementation.name,
        "version": f"{_PYTHON}.{sys.version_info.micro}",
        "cache_tag": sys.implementation.cache_tag,
        "magic": importlib.util.MAGIC_NUMBER.hex(),
        "build": build_facts(),
        "markers": _markers(),
        "notice": notice,
        "sysconfig": sysconfig.__file__,
    }


def build_facts() -> dict[str, object]:
    """Return what decides which compiled modules can be imported; see `target_tags`."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        libc = None
    return {
        "extension": sysconfig.get_config_var("EXT_SUFFIX"),
        "debug": bool(sysconfig.get_config_var("Py_DEBUG")),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "system": sys.platform,
        "machine": platform.machine(),
        "bits": sys.maxsize.bit_length() + 1,
        "libc": libc,
    }


def _paths(prefix: str, *, in_venv: bool) -> dict[str, str]:
    if in_venv and "venv" in sysconfig.get_scheme_names():  # since Python 3.11
        return sysconfig.get_paths("venv", vars={"base": prefix, "platbase": prefix})
    return sysconfig.get_paths()


def _headers(prefix: str, paths: dict[str, str], *, in_venv: bool) -> str:
    python = f"python{_PYTHON}"
    if in_venv:
        return os.path.join(prefix, "include", "site", python)
    if not (paths["include"] + "/").startswith(paths["data"].rstrip("/") + "/"):
        # Debian: data is /usr/local, include is /usr/include.
        return os.path.join(paths["data"], "include", python)
    return paths["include"]


def _markers() -> dict[str, str]:
    """Return the values of environment markers (PEP 508).

    Those of ``packaging``, whose parser takes as long to import as everything else here.
    """
    version = sys.implementation.version
    level = "" if version.releaselevel == "final" else f"{version.releaselevel[0]}{version.serial}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": f"{version.major}.{version.minor}.{version.micro}{level}",
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": _PYTHON,
        "sys_platform": sys.platform,
    }


if __name__ == "__main__":
    import json

    _, _, marker = sys.argv
    sys.stdout.write(f"\n{marker}{json.dumps(facts_of(sys.executable, sys.prefix))}{marker}\n")
