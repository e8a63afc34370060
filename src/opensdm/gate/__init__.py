"""The one gate: `Gate.execute` is the only way from a door to a store or a device."""

from opensdm.gate.gate import Caller, Gate

__all__ = ["Caller", "Gate"]
