"""OpenSDM, an open session delivery manager built around one device lock."""

__version__ = "0.1.0"
