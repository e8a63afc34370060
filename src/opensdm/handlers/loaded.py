"""What the configuration handlers start from: a managed device, our copy of it, its schema, the caller's changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from opensdm.core.device_status import status_of
from opensdm.core.effective import apply_changes
from opensdm.core.element import Element, Schema
from opensdm.core.errors import NotAssigned, NotLoaded
from opensdm.core.inventory import Device
from opensdm.core.ports import Activity, Transaction, Work
from opensdm.core.references import top_of
from opensdm.core.results import DeviceShown
from opensdm.core.staging import Configuration, PendingChange, check_set_name
from opensdm.core.validation import Key, key_of
from opensdm.core.versions import Source, VersionNote

Types = Sequence[str] | Callable[[Schema, Sequence[PendingChange]], Sequence[str]]
"""Types of top-level elements, or how to find out which ones are needed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded device as one user sees it; of our copy, only the elements that were asked for."""

    device: Device
    configuration: Configuration
    schema: Schema
    changes: tuple[PendingChange, ...]

    def __len__(self) -> int:
        """How much there is to go through; see `aside`."""
        return len(self.configuration.elements) + len(self.changes)

    def elements(self, path: str) -> tuple[Element, ...]:
        """The top-level elements that are of this type or may contain it, the user's changes applied."""
        top = top_of(path)
        stored = [e for e in self.configuration.elements if e.path == top]
        return apply_changes(self.schema, stored, [c for c in self.changes if c.path == top])


async def managed_device(transaction: Transaction, device_id: int) -> Device:
    """Raises NotFound, or NotAssigned for a device that is in the inventory only."""
    device = await transaction.inventory.device(device_id)
    if not device.assigned:
        raise NotAssigned(f"{device.device_name} is not managed yet: assign it first", deviceName=device.device_name)
    return device


async def loaded_schema(transaction: Transaction, device_id: int) -> tuple[Device, Schema]:
    """Of a device whose configuration was loaded. Raises NotFound, NotAssigned or NotLoaded."""
    device = await managed_device(transaction, device_id)
    if device.loaded_version is None:
        raise NotLoaded(f"the configuration of {device.device_name} was never loaded: load it first")
    schema = await transaction.configurations.schema(device.platform, device.software_version)
    if schema is None:
        raise NotLoaded(
            f"{device.device_name} runs other software ({device.software_version}) than when its configuration "
            "was loaded: load it again"
        )
    return device, schema


async def loaded(
    transaction: Transaction, device_id: int, user_id: int, change_set: str = "", paths: Types | None = None
) -> Loaded:
    """With `paths`, elements of these types only. Raises NotFound, NotAssigned, NotLoaded, or InvalidRequest."""
    check_set_name(change_set)
    device, schema = await loaded_schema(transaction, device_id)
    changes = tuple(await transaction.configurations.changes(user_id, device_id, change_set))
    wanted = paths(schema, changes) if callable(paths) else paths
    configuration = await transaction.configurations.configuration(device_id, wanted)
    if configuration is None:
        raise NotLoaded(f"the configuration of {device.device_name} was never loaded: load it first")
    return Loaded(device, configuration, schema, changes)


async def still(transaction: Transaction, view: Loaded, user_id: int, change_set: str = "") -> bool:
    """Whether what was read before is so yet: found out cheaply, for work done between a read and its write."""
    device = await managed_device(transaction, view.device.device_id)
    then = view.device
    if (device.loaded_version, device.software_version) != (then.loaded_version, then.software_version):
        return False
    changes = await transaction.configurations.changes(user_id, device.device_id, change_set)
    return tuple(changes) == view.changes


def changed_types(schema: Schema, changes: Sequence[PendingChange]) -> tuple[str, ...]:
    """The types that changes are about, as `loaded` takes them."""
    return tuple(dict.fromkeys(change.path for change in changes))


def by_key(schema: Schema, elements: Iterable[Element]) -> dict[Key, Element]:
    return {key_of(schema, element): element for element in elements}


# ------------------------------------------------------------------------------------------- devices


async def shown(transaction: Transaction, device_id: int, user_id: int, *, own_work: bool = False) -> DeviceShown:
    """A managed device as its caller sees it; with `own_work` as it will be once the asking operation is over."""
    device = await transaction.inventory.device(device_id)
    (one,) = await all_shown(transaction, [device], user_id, own_work=own_work)
    return one


async def all_shown(
    transaction: Transaction, devices: Sequence[Device], user_id: int, *, own_work: bool = False
) -> tuple[DeviceShown, ...]:
    """Devices as their caller sees them, in a fixed number of queries."""
    ids = [device.device_id for device in devices]
    staged = await transaction.configurations.staged_keys(user_id, ids)
    drifts = await transaction.configurations.drifts(ids)
    activity = {} if own_work else await transaction.inventory.activity(ids)
    answer = []
    for device in devices:
        keys, drift = staged.get(device.device_id, frozenset()), drifts.get(device.device_id)
        now = activity.get(device.device_id, Activity())
        status = status_of(device, busy=now.busy, uncertain=now.uncertain, drift=drift, staged=keys)
        answer.append(DeviceShown(device, bool(keys), status=status, drift=drift))
    return tuple(answer)


def version_note(
    work: Work, source: Source, software_version: str, comment: str = "", *, torn: bool = False
) -> VersionNote:
    """What is written beside a version that this operation makes."""
    return VersionNote(source, work.session.user_name, work.request_id, software_version, comment, torn)
