"""Southbound: one driver a platform, each speaking its devices' own protocol behind `core.ports.Driver`."""
