"""Settings of the manual: MyST sources, warnings are errors (see the Makefile)."""

from __future__ import annotations

import sage_pkginstall

project = "sage-pkginstall"
author = "The sage-pkginstall developers"
copyright = "2026, the sage-pkginstall developers"
release = sage_pkginstall.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
nitpicky = True

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "sage-pkginstall"
