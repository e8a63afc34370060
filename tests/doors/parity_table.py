"""Every published SOAP operation beside the REST call that means the same, and how the two answers are read alike.

`ROWS` is also a scenario: alice sends them in this order. Paths may name things that the site finds: `{edge-a}` is a
device's id, `{nf:edge-old}` the id of its network function, `{group:Home/East}` that of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.doors.soap.bodies import BODIES, EDGE
from tests.doors.soap.sender import config, target
from tests.doors.wire import listed
from tests.gatehouse import PASSWORD

View = Callable[[Any], Any]


def _nothing(found: Any) -> None:
    """Where what was done shows in how everything stands, not in the answer."""


@dataclass(frozen=True)
class Row:
    """One operation. `inner`: what is sent over SOAP; `rest`: method, path, and the root and content of the body.

    `seen` and `told` take out of the REST body and of the SOAP result what must be the same. `alone`: why there is no
    REST call. `everybodys`: it is about no device that somebody holds, so bob may send it, and does not.
    """

    name: str
    rest: tuple[str, str, str, Mapping[str, Any] | None] | None = None
    seen: View = _nothing
    told: View = _nothing
    inner: str | None = None
    alone: str = ""
    everybodys: bool = False

    @property
    def changes(self) -> bool:
        """Whether it is there to change something."""
        return self.seen is _nothing or (self.rest is not None and self.rest[2] == "deviceAction")

    @property
    def body(self) -> str:
        return BODIES[self.name] if self.inner is None else self.inner


DEVICES, MANAGED = "/inventory/deviceMgmt/devices/{edge-a}", "/configuration/devices"
EDGE_A, CONFIGS = MANAGED + "/{edge-a}", "/configuration/deviceConfigs/{edge-a}"
ELEMENTS, TYPES, GROUPS = CONFIGS + "/configElements", CONFIGS + "/elementTypes", "/inventory/deviceMgmt/deviceGroups"
ALL = "limitation=1000"


def get(path: str) -> tuple[str, str, str, None]:
    return "GET", path, "", None


def post(path: str, root: str, **content: Any) -> tuple[str, str, str, Mapping[str, Any]]:
    return "POST", path, root, content


def element(kind: str, **attributes: str) -> dict[str, Any]:
    return {"elementTypePath": kind, "attributes": [{"name": n, "value": v} for n, v in attributes.items()]}


def each(name: str, view: View) -> View:
    """Of a list reply, the view of every item."""
    return lambda body: [view(item) for item in listed((body or {}).get(name))]


def many(view: View) -> View:
    return lambda result: [view(item) for item in result if item != ""] if isinstance(result, list) else [view(result)]


def _pairs(items: Any) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in listed(items)}


def rest_element(body: Any) -> Any:
    children = [rest_element(child) for child in listed(body.get("childrenElements"))]
    return body["elementTypePath"], _pairs(body.get("attributes")), children


def soap_element(result: Any) -> Any:
    children = [soap_element(child) for child in listed(result.get("children"))]
    return result["type"], _pairs(result.get("attributeList")), children


def rest_attribute(body: Any) -> Any:
    ranges = [(r.get("min"), r.get("max")) for r in listed(body.get("validNumericRange"))]
    return {
        "name": body["name"], "cli": body["cliName"], "default": body.get("defaultValue"),
        "delimiter": body.get("delimiter"), "refers": body.get("referredElementType"),
        "choices": listed(body.get("enumeratedValues")), "referred": listed(body.get("referredValues")),
        "ranges": [(_text(low), _text(high)) for low, high in ranges],
    }  # fmt: skip


def soap_attribute(result: Any) -> Any:
    ranges = [(r.get("min"), r.get("max")) for r in listed(result.get("valid_Numeric_Range"))]
    return {
        "name": result["name"], "cli": result["acliName"], "default": result.get("defaultValue"),
        "delimiter": result.get("delimiter"), "refers": result.get("referred_Element_Type_Name"),
        "choices": listed(result.get("enumerated_values")), "referred": listed(result.get("suggested_Values")),
        "ranges": [(_text(low), _text(high)) for low, high in ranges],
    }  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


FLAGS = (
    "isLockSuccess", "isValidationSuccess", "isEraseCacheSuccess", "isCreateSuccess", "isIntegrityCheckSuccess",
    "isRestoreConfigSuccess", "isSaveConfigSuccess", "isActivateConfigSuccess", "isUnlockSuccess", "errorMessage",
    "validationErrorMessage",
)  # fmt: skip


def flags(status: str) -> View:
    return lambda found: {"status": found[status], **{name: found.get(name) for name in FLAGS}}


def _push(name: str, action: str) -> Row:
    sent = post(EDGE_A + "/action", "deviceAction", type=action)
    return Row(name, sent, flags("status"), flags("overallStatus"))


def _batch(*edits: tuple[str, dict[str, Any]]) -> tuple[str, str, str, Mapping[str, Any]]:
    content = [{"operation": verb, "configElement": changed} for verb, changed in edits]
    return post(ELEMENTS + "/batch", "configBatch", edits=content)


def _names(name: str) -> Row:
    return Row(name, get(MANAGED + "?" + ALL), each("devices", lambda d: d["name"]), many(str), everybodys=True)


_OLD, _DISASSOCIATE = target("edge-old"), ("DELETE", MANAGED + "/{edge-old}", "", None)
_ASSOCIATE = post(MANAGED, "deviceAssociation", deviceName="edge-old")
_REALM = {"elementTypePath": "realmConfig"}
_METADATA = post(TYPES + "/elementMetadata", "elementTypeRequest", **_REALM)
_SUB = {
    **element("sipInterface/sipPort", address="198.51.100.10", port="5062", transportProtocol="UDP"),
    "parentElement": element("sipInterface", realmId="access"),
}
_AT_CONSOLE = "users are managed at the console, not over REST"
_NOT_OFFERED = "not offered"
_OF_SETTINGS = "says what the server is set to"


def _host(address: str) -> str:
    """The port of the virtual SBC is another in every site."""
    return address.partition(":")[0]


def _device(found: Any) -> Any:
    return found["name"], _host(found["ip"]), (found.get("softwareInfo") or {}).get("version")


def _details(found: Any) -> Any:
    return found["deviceName"], _host(found["primaryIP"]), found.get("SBCVersion")


ROWS: tuple[Row, ...] = (
    Row(
        "login", post("/admin/login", "session", userName="alice", password=PASSWORD),
        lambda body: body["userName"], lambda result: "alice" if len(result) > 32 else "", everybodys=True,
    ),
    *(Row(name, alone=_OF_SETTINGS) for name in ("UsingExternalAAA", "usingExternalAAA", "getAccountManagementInfo")),
    *(Row(name, alone=_OF_SETTINGS) for name in ("getLoginBanner", "getDevicePollingInterval")),
    *(Row(name, alone=_AT_CONSOLE) for name in ("getUserInfo", "getAllUserInfo", "getAllUsersInfo")),
    *(Row(name, alone=_NOT_OFFERED) for name in ("getTrapReceivers", "encryptedPassword")),
    *(Row(name, alone=_NOT_OFFERED) for name in ("NorthboundalarmSync", "NorthboundActiveAlarmSync")),
    *(
        Row(name, alone=_NOT_OFFERED)
        for name in ("getRequiredSubElementTypesByElementType", "getRequiredSubElementsByElementType")
    ),
    Row("getAllManagedDevicesByDeviceGroup", alone="REST filters by the group inside the network function"),
    Row("getTopLevelElementCount", alone="REST lists one type at a time"),
    # --------------------------------------------------------------------------------- inventory
    Row("lockDevice", post(DEVICES + "/action", "deviceAction", type="Lock")),
    Row("loadDevice", get(EDGE_A + "/loadConfig")),
    Row("getAllManagedDevices", get(MANAGED + "?" + ALL), each("devices", _device), many(_details), everybodys=True),
    *(_names(name) for name in ("getAllManagedDevicesNames", "getAllManagedDeviceTargetNames")),
    *(_names(name) for name in ("getAllAssociatedDevicesInEMSLicense", "getAllAssociatedDevicesInEMLicense")),
    Row("getSBCDetails", get(EDGE_A), _device, _details),
    Row(
        "getNNCDetails", get("/admin/serverInfo"), each("clusterMembers", lambda m: (m["name"], m["status"])),
        lambda found: [(s["serverName"], s["serverStatus"]) for s in listed(found["serverList"])], everybodys=True,
    ),
    Row(
        "addDevice",
        post(
            "/inventory/nfMgmt/nfs", "nfConfig", name="edge-new", parentGroupFullName="Home",
            nfCategory={"name": "SP Edge & Core"}, nfType={"name": "Device"},
            parameters=[
                {"name": name, "value": value}
                for name, value in {
                    "primary.ip": "192.0.2.77", "username": "ops", "password": "s3cret-pw", "platform": "acme_sbc",
                    "snmp.community.name": "lab", "snmp.port": "161", "transport": "https", "tls.verify": "false",
                }.items()
            ],
        ),
        everybodys=True,
    ),
    Row("addDeviceToEMSLicense", _ASSOCIATE, inner=_OLD, everybodys=True),
    Row("addDeviceToEMLicense", _ASSOCIATE, inner=_OLD, everybodys=True),
    Row("removeDeviceFromEMSLicense", _DISASSOCIATE, inner=_OLD, everybodys=True),
    Row("removeDeviceFromEMLicense", _DISASSOCIATE, inner=_OLD, everybodys=True),
    Row("deleteDevice", ("DELETE", "/inventory/nfMgmt/nfs/{nf:edge-old}", "", None), inner=_OLD, everybodys=True),
    Row("addDeviceGroup", post(GROUPS, "deviceGroup", name="West", parentGroupFullName="Home"), everybodys=True),
    Row(
        "getAllDeviceGroupList", get(GROUPS + "?" + ALL), each("deviceGroups", lambda g: g["fullName"]), many(str),
        everybodys=True,
    ),
    Row(
        "deleteDeviceGroup", ("DELETE", GROUPS + "/{group:Home/East}", "", None),
        inner="<deviceGroupPath>Home/East</deviceGroupPath>", everybodys=True,
    ),
    # -------------------------------------------------------------------------------------- types
    Row(
        "getTopLevelConfigElementTypeNames", get(TYPES + "?" + ALL),
        each("elementTypes", lambda t: t["elementTypePath"]), many(str),
    ),
    *(
        Row(
            name, get(TYPES + "?" + ALL), each("elementTypes", lambda t: (t["cliName"], t["elementTypePath"])),
            many(lambda a: (a["name"], a["value"])),
        )
        for name in ("getACLItoACPMapping", "getACLItoACPMappingList")
    ),
    Row(
        "getPrimaryKeyByElementType", _METADATA,
        lambda b: [a["name"] for a in listed(b["attributeMetadata"]) if _text(a["key"]) in ("true", "True")], many(str),
    ),
    Row(
        "getSubElementTypesByElementType",
        post(TYPES + "/elementMetadata", "elementTypeRequest", elementTypePath="sipInterface"),
        each("subElement", lambda s: s["elementTypePath"]), many(str),
    ),
    Row(
        "getAllSupportedAttributeInfoByElementType", _METADATA, each("attributeMetadata", rest_attribute),
        many(soap_attribute),
    ),
    Row(
        "getConfigElementMetaData", _METADATA,
        lambda b: (b["elementTypePath"], [rest_attribute(a) for a in listed(b["attributeMetadata"])]),
        lambda r: (r["elementTypePath"], [soap_attribute(a) for a in listed(r["attributeMetaDataList"])]),
    ),
    Row(
        "getConfigAttributeMetaData",
        post(TYPES + "/attributeMetadata", "attributeTypeRequest", attributeName="description", **_REALM),
        rest_attribute, soap_attribute,
    ),
    Row(
        "getValuesForReferenceAttribute",
        post(TYPES + "/attributeMetadata", "attributeTypeRequest", attributeName="realmId",
             elementTypePath="sipInterface"),
        lambda b: listed(b.get("referredValues")), many(str),
    ),
    # ----------------------------------------------------------------------------------- elements
    Row("newConfigElement", post(ELEMENTS + "/create", "elementTypeRequest", **_REALM), rest_element, soap_element),
    Row(
        "getConfigElement", post(ELEMENTS + "/retrieve", "configElement", **element("realmConfig", id="core")),
        rest_element, soap_element,
    ),
    Row(
        "addConfigElement",
        post(ELEMENTS + "/add", "configElement", **element("realmConfig", id="peering", description="one")),
    ),
    Row(
        "updateConfigElement",
        post(ELEMENTS + "/update", "configElement", **element("realmConfig", id="peering", description="two")),
    ),
    Row("replace", _batch(("REPLACE", element("realmConfig", id="peering", description="three")))),
    Row("addSubElement", post(ELEMENTS + "/add", "configElement", **_SUB)),
    Row("deleteSubElement", post(ELEMENTS + "/delete", "configElement", **_SUB)),
    Row(
        "deleteConfigElement", post(ELEMENTS + "/delete", "configElement", **element("realmConfig", id="nowhere")),
        inner=EDGE + config("realmConfig", id="nowhere"),
    ),
    Row(
        "getAllConfigElements", get(ELEMENTS + "?elementTypePath=realmConfig&" + ALL),
        each("configElements", rest_element), many(soap_element),
    ),
    Row(
        "getLCVContentSaveSessionReport", get(CONFIGS + "/configurationChanges?" + ALL),
        each("changedConfigElements", lambda c: (c["elementTypePath"], c["name"])),
        many(lambda e: (e["type"], _pairs(e["attributeList"])["id"])), everybodys=True,
    ),
    _push("saveConfig", "SaveConfig"),
    _push("activateConfig", "ActivateConfig"),
    Row(
        "applyBatch",
        _batch(
            ("ADD", element("realmConfig", id="batch-1")),
            ("UPDATE", element("realmConfig", id="batch-1", description="two")),
            ("DELETE", element("realmConfig", id="peering")),
        ),
    ),
    _push("saveAndActivateConfig", "SaveActivateConfig"),
    Row("deleteUserChanges", ("DELETE", CONFIGS + "/configurationChanges", "", None)),
    Row("unlockDevice", post(DEVICES + "/action", "deviceAction", type="Unlock")),
    Row("disassociateDeviceFromElementManager", ("DELETE", EDGE_A, "", None)),
    Row("logOut", ("POST", "/admin/logout", "", None), everybodys=True),
)  # fmt: skip
