"""Install Python wheels and staged trees into a prefix that many jobs change at once."""

__version__ = "0.1.0"
