"""The life of a package directory of the Sage distribution."""
