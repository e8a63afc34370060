"""The one gate: `Gate.execute` is the only way from a door to a store or a device."""

from opensdm.gate.gate import Gate
from opensdm.gate.run import Caller

__all__ = ["Caller", "Gate"]
