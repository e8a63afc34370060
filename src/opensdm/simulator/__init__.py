"""The virtual SBC: OpenSDM's own simulator of the documented device-side REST API of a session border controller.

It was written from public documentation, for demos and tests, and stands for somebody else's device: it imports
nothing of opensdm outside this package. No real device was at hand; where the documentation is silent, this
simulator had to choose, and says so:

- sub-elements in a PUT replace all sub-elements of their own type and leave those of other types alone;
- renewing a token ends the old one at once;
- while one job runs, another is refused with 423; `verify` with findings ends as `fail`, with `verifySummary`;
- configuration writes to a system that is neither active nor standalone are refused with 403;
- a pair keeps its saved and its running configuration in step, at the end of a save or an activation; what is only
  edited, tokens, the lock and backup files stay with their unit; a switchover breaks off a running operation;
- a secret is shown in an opaque form, the same for the same value, which is also taken as a value;
- the names in `attributeMetadata` beside `name` and `key`, in the list of backup files, in the boot parameters, and
  those of the `ha...` fields of the status, are ours;
- certificates are not simulated.
"""

from opensdm.simulator.running import serve
from opensdm.simulator.server import VirtualSbc

__all__ = ["VirtualSbc", "serve"]
