"""``python -m sage_pkginstall``: the command line."""

from sage_pkginstall.cli.main import program

program()
