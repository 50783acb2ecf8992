"""Settings of the manual: MyST sources, warnings are errors (see the Makefile)."""

from __future__ import annotations

import sage_pkginstall

project = "sage-pkginstall"
author = "The sage-pkginstall developers"
copyright = "2026, the sage-pkginstall developers"
release = sage_pkginstall.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []

html_theme = "furo"
html_title = "sage-pkginstall"
