"""What the configuration handlers start from: a managed device, our copy of it, its schema, the caller's changes."""

from __future__ import annotations

from dataclasses import dataclass

from opensdm.core.effective import apply_changes
from opensdm.core.element import Element, Schema
from opensdm.core.errors import NotAssigned, NotLoaded
from opensdm.core.inventory import Device
from opensdm.core.ports import Transaction
from opensdm.core.results import DeviceShown
from opensdm.core.staging import Configuration, PendingChange


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded device as one user sees it."""

    device: Device
    configuration: Configuration
    schema: Schema
    changes: tuple[PendingChange, ...]

    def elements(self, path: str) -> tuple[Element, ...]:
        """The top-level elements that are of this type or may contain it, the user's changes applied."""
        top = path.split("/")[0]
        stored = [e for e in self.configuration.elements if e.path == top]
        return apply_changes(self.schema, stored, [c for c in self.changes if c.path == top])


async def managed_device(transaction: Transaction, device_id: int) -> Device:
    """Raises NotFound, or NotAssigned for a device that is in the inventory only."""
    device = await transaction.inventory.device(device_id)
    if not device.assigned:
        raise NotAssigned(f"{device.device_name} is not managed yet: assign it first", deviceName=device.device_name)
    return device


async def loaded(transaction: Transaction, device_id: int, user_id: int) -> Loaded:
    """Raises NotFound, NotAssigned or NotLoaded."""
    device = await managed_device(transaction, device_id)
    configuration = await transaction.configurations.configuration(device_id)
    if configuration is None:
        raise NotLoaded(f"the configuration of {device.device_name} was never loaded: load it first")
    schema = await transaction.configurations.schema(device.platform, device.software_version)
    if schema is None:
        raise NotLoaded(
            f"{device.device_name} runs other software ({device.software_version}) than when its configuration "
            "was loaded: load it again"
        )
    changes = await transaction.configurations.changes(user_id, device_id)
    return Loaded(device, configuration, schema, tuple(changes))


async def shown(transaction: Transaction, device_id: int, user_id: int) -> DeviceShown:
    """A managed device as its caller sees it."""
    device = await transaction.inventory.device(device_id)
    changed = await transaction.configurations.devices_with_changes(user_id, [device_id])
    return DeviceShown(device, device_id in changed)
