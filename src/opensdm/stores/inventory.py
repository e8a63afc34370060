"""Groups, network functions and devices as one store."""

from __future__ import annotations

from opensdm.stores.functions import Functions


class SqlInventory(Functions):
    """Implements `InventoryStore`. Ids come from one counter and are never reused."""
