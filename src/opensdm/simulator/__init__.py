"""The virtual SBC: OpenSDM's own simulator of the documented device-side REST API of a session border controller.

It was written from public documentation, for demos and tests, and stands for somebody else's device: it imports
nothing of opensdm outside this package. No real device was at hand; where the documentation is silent, this
simulator had to choose, and says so:

- sub-elements in a PUT replace all sub-elements of their own type and leave those of other types alone;
- renewing a token ends the old one at once;
- while one job runs, another is refused with 423; `verify` with findings ends as `fail`, with `verifySummary`;
- configuration writes to a system that is neither active nor standalone are refused with 403;
- the names in `attributeMetadata` beside `name` and `key`, and in the list of backup files, are ours.
"""

from opensdm.simulator.server import VirtualSbc, serve

__all__ = ["VirtualSbc", "serve"]
