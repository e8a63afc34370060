"""Contract suites: what every store and every driver must do, to be run against each.

A test module makes a class of a suite and gives it a fixture: `store`, of type `OpenStore`, or `bench`, of type
`DriverBench`.
"""

from opensdm.testing.browsing import BrowsingContract
from opensdm.testing.configurations import ConfigurationContract
from opensdm.testing.devices import ReachContract
from opensdm.testing.driver import DriverContract
from opensdm.testing.driver_bench import DriverBench
from opensdm.testing.driver_reading import LoadOnlyContract, ReadingContract
from opensdm.testing.identity import IdentityContract
from opensdm.testing.inventory import InventoryContract
from opensdm.testing.locks import LockContract
from opensdm.testing.store import OpenStore, open_store
from opensdm.testing.tasks import TaskContract
from opensdm.testing.versions import VersionContract

__all__ = [
    "DriverBench",
    "DriverContract",
    "LoadOnlyContract",
    "OpenStore",
    "ReadingContract",
    "StoreContract",
    "open_store",
]


class StoreContract(
    InventoryContract, ReachContract, IdentityContract, ConfigurationContract, VersionContract, TaskContract,
    LockContract, BrowsingContract,
):  # fmt: skip
    """All that is asked of a store, aggregate by aggregate."""
