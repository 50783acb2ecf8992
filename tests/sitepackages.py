"""What tests plant in the site-packages of a virtual environment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sage_pkginstall.wheels.installed import Installed, find_installed
from tests.trees import Entry, plant

if TYPE_CHECKING:
    from sage_pkginstall.environment import Environment

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def in_site(environment: Environment, entries: dict[str, Entry]) -> None:
    plant(environment.prefix / SITE, entries)


def the_one(environment: Environment, name: str) -> Installed:
    (installed,) = find_installed(environment, name)
    return installed


def record(environment: Environment, text: str | bytes) -> Installed:
    data = text if isinstance(text, bytes) else text.encode()
    in_site(environment, {"foo-1.0.dist-info/RECORD": data})
    return the_one(environment, "foo")
