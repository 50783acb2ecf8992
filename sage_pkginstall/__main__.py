"""``python -m sage_pkginstall``: the command line."""

import sys

from sage_pkginstall.cli.main import main

sys.exit(main())
