"""Contract suites: what every store must do, to be run against each.

A test module makes a class of a suite and gives it a fixture, here `store`, of type `OpenStore`.
"""

from opensdm.testing.configurations import ConfigurationContract
from opensdm.testing.identity import IdentityContract
from opensdm.testing.inventory import InventoryContract
from opensdm.testing.locks import LockContract
from opensdm.testing.store import OpenStore, open_store

__all__ = ["OpenStore", "StoreContract", "open_store"]


class StoreContract(InventoryContract, IdentityContract, ConfigurationContract, LockContract):
    """All that is asked of a store, aggregate by aggregate."""
