"""From the request to add a network function to the devices it enrols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opensdm.core.enrolment import checked_enrolment
from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import CATEGORIES, DEVICE_PARAMETERS, Category, Credentials, check_group_name
from opensdm.core.operations import AddNetworkFunction
from opensdm.core.ports import NewDevice

CLUSTER_TYPE = "Device Cluster"
_SECRETS = frozenset(t.name for t in DEVICE_PARAMETERS if t.secret)


@dataclass(frozen=True, slots=True)
class NewFunction:
    """A network function that may be added, as far as can be said without looking at what is there."""

    nf_name: str
    category: Category
    type_name: str
    devices: Sequence[NewDevice]


def new_function(operation: AddNetworkFunction, platforms: Sequence[str]) -> NewFunction:
    """Names in canonical form, parameters checked. Raises InvalidRequest that says what is wrong."""
    name = check_group_name(operation.nf_name)
    category = next((c for c in CATEGORIES if c.name.lower() == operation.category_name.lower()), None)
    if category is None:
        known = ", ".join(repr(c.name) for c in CATEGORIES)
        raise InvalidRequest(f"there is no network function category {operation.category_name!r}; there is: {known}")
    type_name = named_type(operation.type_name, category)
    if type_name is None:
        raise InvalidRequest(f"category {category.name!r} has no type {operation.type_name!r}; {offered(category)}")
    return NewFunction(name, category, type_name, new_devices(operation, name, type_name, platforms))


def named_type(name: str, category: Category) -> str | None:
    return next((known for known in category.type_names if known.lower() == name.lower()), None)


def offered(category: Category) -> str:
    return f"there is: {', '.join(repr(name) for name in category.type_names)}"


def new_devices(
    operation: AddNetworkFunction, nf_name: str, type_name: str, platforms: Sequence[str]
) -> list[NewDevice]:
    """One device named like the function, or for a cluster the devices of its groups.

    Parameters of the function are the defaults of its groups, and those of a group of its devices.
    """
    if type_name == CLUSTER_TYPE:
        return list(_cluster(operation, nf_name, platforms))
    enrolments = [device for group in operation.groups for device in group.devices]
    if len(operation.groups) > 1 or len(enrolments) > 1:
        raise InvalidRequest(f"a network function of type {type_name!r} has one device; use {CLUSTER_TYPE!r} for more")
    parameters = dict(operation.parameters)
    for part in (*(g.parameters for g in operation.groups), *(d.parameters for d in enrolments)):
        parameters |= {name: value for name, value in part.items() if name != "name"}
    return [_device(nf_name, None, parameters, platforms)]


def _cluster(operation: AddNetworkFunction, nf_name: str, platforms: Sequence[str]) -> Iterator[NewDevice]:
    if not operation.groups:
        raise InvalidRequest(f"a network function of type {CLUSTER_TYPE!r} names its groups in nfcConfigs")
    number = 0
    for position, group in enumerate(operation.groups, start=1):
        shared, group_name = dict(group.parameters), f"group-{position}"
        group_name = check_group_name(shared.pop("name", group_name))
        if not group.devices:
            raise InvalidRequest(f"group {group_name!r} has no devices: name at least one in deviceConfigs")
        for device in group.devices:
            number += 1
            own = dict(device.parameters)
            name = device.device_name or own.pop("name", f"{nf_name}-{number}")
            own.pop("name", None)
            yield _device(check_group_name(name), group_name, {**operation.parameters, **shared, **own}, platforms)


def _device(name: str, group_name: str | None, parameters: Mapping[str, str], platforms: Sequence[str]) -> NewDevice:
    values = checked_enrolment(parameters, platforms)
    return NewDevice(
        device_name=name,
        address=values["primary.ip"],
        secondary_address=values.get("secondary.ip"),
        platform=values["platform"],
        parameters={n: v for n, v in values.items() if n not in _SECRETS},
        secrets={n: v for n, v in values.items() if n in _SECRETS},
        read_only=values["read.only"] == "true",
        group_name=group_name,
    )


def host_credentials(platform: str, parameters: Mapping[str, str], platforms: Sequence[str]) -> Credentials:
    """How a host is entered that is not enrolled; its parameters are checked as for enrolment."""
    new = _device("", None, {**parameters, "platform": platform}, platforms)
    return Credentials(
        new.address,
        new.secondary_address,
        new.parameters.get("username", ""),
        new.secrets.get("password", ""),
        new.parameters,
    )
