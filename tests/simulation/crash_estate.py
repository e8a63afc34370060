"""What the clients of a storm fight over: network functions of one and of several devices, reachable or not."""

from __future__ import annotations

import json
from typing import Any

from tests.simulation.crash_model import Violation
from tests.simulation.crash_traffic import OWN, Estate, Group, Line

FUNCTIONS = "/inventory/nfMgmt/nfs"
TOKEN_LIFE_S = 10
"""How soon a virtual SBC forgets a session, and with it the lock that a killed server left on it."""


async def enrol(line: Line, ports: list[int]) -> Estate:
    """A pair of SBCs, two single ones, and two clusters nobody answers for. All managed, the SBCs loaded.

    One more device, whose locks are leases, is only locked and asked for.
    """
    reached = [_reached(port) for port in ports]
    nowhere = [{"primary.ip": f"127.0.0.1:{port}", "transport": "http"} for port in (1, 2, 3, 4, 5, 6)]
    functions = [
        await _add(line, "pair", {"both": reached[:2]}),
        await _add(line, "plain", {"east": nowhere[:2], "west": nowhere[2:3]}),
        await _add(line, "spare", {"all": nowhere[3:5]}),
        await _add(line, "edge", {"": reached[2:3]}),
        await _add(line, "core", {"": reached[3:4]}),
    ]
    leased = await _add(line, "leased", {"": nowhere[5:]})
    cells = tuple(tuple(sorted(_number(child["id"]) for child in nf["children"])) for nf in functions)
    reachable = (*cells[0], *cells[3], *cells[4])
    for nf in functions:
        for child in nf["children"]:
            await _post(line, "/configuration/devices", {"deviceName": child["name"], "nfName": nf["name"]})
    for device in reachable:
        await line.get(f"/configuration/devices/ID{device}/loadConfig")
    groups = tuple(group for nf in functions for group in _groups(nf))
    return Estate(cells, groups, reachable, _number(leased["children"][0]["id"]))


def _reached(port: int) -> dict[str, str]:
    return {
        "primary.ip": f"127.0.0.1:{port}", "username": "ops", "password": "s3cret-pw", "transport": "http",
        "token.life": str(TOKEN_LIFE_S),
    }  # fmt: skip


async def _add(line: Line, name: str, groups: dict[str, list[dict[str, str]]]) -> Any:
    config: dict[str, Any] = {"name": name, "parentGroupFullName": "Home", "nfCategory": {"name": "SP Edge & Core"}}
    if "" in groups:
        config |= {"nfType": {"name": "Device"}, "parameters": _listed(groups[""][0])}
    else:
        config["nfType"] = {"name": "Device Cluster"}
        config["nfcConfigs"] = [
            {
                "name": group,
                "deviceConfigs": [
                    {"name": f"{name}-{group}-{n}", "parameters": _listed(each)} for n, each in enumerate(devices)
                ],
            }
            for group, devices in groups.items()
        ]
    return await _post(line, FUNCTIONS, config)


async def _post(line: Line, path: str, body: dict[str, Any]) -> Any:
    answer = await line.send(OWN, "POST", path, json.dumps(body))
    if answer.status_code != 200:
        raise Violation(f"POST {path} was answered {answer.status_code}: {answer.text}")
    return answer.json()


def _groups(nf: Any) -> list[Group]:
    """The function's own group, with all devices, and those within it."""
    nf_id = _number(nf["id"])
    found = [Group(nf_id, nf_id, tuple(sorted(_number(child["id"]) for child in nf["children"])))]
    for group in nf["groups"]:
        inside = tuple(sorted(_number(c["id"]) for c in nf["children"] if c["parentGroupId"] == group["id"]))
        if inside and _number(group["id"]) != nf_id:
            found.append(Group(nf_id, _number(group["id"]), inside))
    return found


def _listed(parameters: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in parameters.items()]


def _number(wire_id: str) -> int:
    return int(wire_id.removeprefix("ID"))
