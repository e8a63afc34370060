"""The published examples, read and written byte for byte: field order, list forms, quirks of single fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opensdm.doors import xml
from opensdm.doors.rest import extensions, resources
from opensdm.doors.rest.media import Medium
from opensdm.doors.rest.shapes import Shape

XML, JSON = Medium.XML, Medium.JSON
V13, V14 = (1, 3), (1, 4)

PARAMETERS = [
    {"name": "primary.ip", "value": "192.0.2.7"},
    {"name": "username", "value": "ops"},
]
REALM = {"elementTypePath": "realmConfig", "attributes": [{"name": "id", "value": "r1"}]}

READS: list[tuple[Shape, str, dict[str, Any]]] = [
    (
        resources.LOGIN,
        "<session><userName>ops1</userName><password>s3cret</password></session>",
        {"userName": "ops1", "password": "s3cret"},
    ),
    (resources.DEVICE_ACTION, "<deviceAction><type>Lock</type></deviceAction>", {"type": "Lock"}),
    (resources.PUSH_ACTION, '{"type":"SaveActivateConfig"}', {"type": "SaveActivateConfig"}),
    (
        resources.ELEMENT_TYPE_REQUEST,
        "<elementTypeRequest><elementTypePath>realmConfig</elementTypePath></elementTypeRequest>",
        {"elementTypePath": "realmConfig"},
    ),
    (
        resources.ATTRIBUTE_TYPE_REQUEST,
        "<attributeTypeRequest><attributeName>access</attributeName>"
        "<elementTypePath>accessControl</elementTypePath></attributeTypeRequest>",
        {"attributeName": "access", "elementTypePath": "accessControl"},
    ),
    (
        resources.ATTRIBUTE_TYPE_REQUEST,
        '{"attributeName":"access","elementTypePath":"accessControl"}',
        {"attributeName": "access", "elementTypePath": "accessControl"},
    ),
    (resources.DEVICE_GROUP_ACTION, "<deviceGroupAction><type>Lock</type></deviceGroupAction>", {"type": "Lock"}),
    (
        resources.CONFIG_ELEMENT,
        "<configElement><elementTypePath>realmConfig</elementTypePath>"
        "<attributes><name>id</name><value>r1</value></attributes></configElement>",
        REALM,
    ),
    (
        resources.CONFIG_ELEMENT,
        "<configElement><elementTypePath>realmConfig</elementTypePath>"
        "<attributes><attribute><name>id</name><value>r1</value></attribute></attributes></configElement>",
        REALM,
    ),
    (resources.CONFIG_ELEMENT, '{"elementTypePath":"realmConfig","attributes":[{"name":"id","value":"r1"}]}', REALM),
    (
        resources.CONFIG_ELEMENT,
        '{"elementTypePath":"realmConfig","attributes":{"attribute":[{"name":"id","value":"r1"}]}}',
        REALM,
    ),
    (resources.CONFIG_ELEMENT, '{"elementTypePath":"realmConfig","attributes":{"name":"id","value":"r1"}}', REALM),
    (
        resources.CONFIG_ELEMENT,
        '{"configElement":{"elementTypePath":"realmConfig","attributes":{"attribute":{"name":"id","value":"r1"}}}}',
        REALM,
    ),
    (
        resources.CONFIG_ELEMENT,
        "<configElement><elementTypePath>sessionAgentGroup/sipDest</elementTypePath>"
        "<attributes><name>name</name><value>agent-1</value></attributes><parentElement>"
        "<elementTypePath>sessionAgentGroup</elementTypePath>"
        "<attributes><name>name</name><value>sag-1</value></attributes><childrenElements><childrenElement>"
        "<elementTypePath>sessionAgentGroup/sipDest</elementTypePath><attributes/>"
        "</childrenElement></childrenElements></parentElement></configElement>",
        {
            "elementTypePath": "sessionAgentGroup/sipDest",
            "attributes": [{"name": "name", "value": "agent-1"}],
            "parentElement": {
                "elementTypePath": "sessionAgentGroup",
                "attributes": [{"name": "name", "value": "sag-1"}],
                "childrenElements": [{"elementTypePath": "sessionAgentGroup/sipDest", "attributes": []}],
            },
        },
    ),
    (
        resources.NF_CONFIG,
        "<nfConfig><name>edge-a</name><nfType><name>Device</name></nfType>"
        "<parameters><name>primary.ip</name><value>192.0.2.7</value></parameters>"
        "<parameters><name>username</name><value>ops</value></parameters></nfConfig>",
        {"name": "edge-a", "nfType": {"name": "Device"}, "parameters": PARAMETERS},
    ),
    (
        resources.NF_CONFIG,
        "<nfConfig><name>pair</name><nfcConfigs><nfcConfig><deviceConfigs>"
        "<deviceConfig><parameters><parameter><name>a</name><value>1</value></parameter></parameters></deviceConfig>"
        "<deviceConfig><parameters><name>b</name></parameters></deviceConfig>"
        "</deviceConfigs></nfcConfig></nfcConfigs></nfConfig>",
        {
            "name": "pair",
            "nfcConfigs": [
                {
                    "deviceConfigs": [
                        {"parameters": [{"name": "a", "value": "1"}]},
                        {"parameters": [{"name": "b"}]},
                    ]
                }
            ],
        },
    ),
    (
        resources.NF_CONFIG,
        '{"name":"pair","nfcConfigs":{"deviceConfigs":{"parameters":{"name":"port","value":8443}}}}',
        {"name": "pair", "nfcConfigs": [{"deviceConfigs": [{"parameters": [{"name": "port", "value": "8443"}]}]}]},
    ),
    (
        resources.CHANGED_CREDENTIALS,
        '{"isHidden":"false","parameters":{"name":"snmp.community.name","value":"ro1"},"type":"DEVICE"}',
        {"isHidden": False, "parameters": [{"name": "snmp.community.name", "value": "ro1"}], "type": "DEVICE"},
    ),
]


@pytest.mark.parametrize(("shape", "text", "expected"), READS)
def test_published_requests_are_read(shape: Shape, text: str, expected: dict[str, Any]) -> None:
    medium = XML if text.startswith("<") else JSON
    assert shape.read(text.encode(), medium, version=V13) == (expected, ())


DEVICE = {
    "id": "ID7", "ip": "192.0.2.7", "key": "edge-a_192.0.2.7", "name": "edge-a", "manageable": True,
    "bootstrapState": "Activated", "connectivityStatus": True,
    "nfId": "ID9", "nfName": "edge-a", "parentGroupId": "ID9",
    "softwareInfo": {"version": "SCZ910", "configVersion": "12"},
    "platformInfo": {"serialNumber": "--", "platform": "NNOSVM"},
}  # fmt: skip
DEVICE_XML = (
    "<bootstrapState>Activated</bootstrapState><connectivityStatus>true</connectivityStatus><id>ID7</id>"
    "<ip>192.0.2.7</ip><key>edge-a_192.0.2.7</key><manageable>true</manageable><name>edge-a</name><nfId>ID9</nfId>"
    "<nfName>edge-a</nfName><parentGroupId>ID9</parentGroupId><platformInfo><platform>NNOSVM</platform>"
    "<serialNumber>--</serialNumber></platformInfo><softwareInfo><configVersion>12</configVersion>"
    "<version>SCZ910</version></softwareInfo>"
)
DEVICE_JSON = (
    '"bootstrapState":"Activated","connectivityStatus":true,"id":"ID7","ip":"192.0.2.7","key":"edge-a_192.0.2.7",'
    '"manageable":true,"name":"edge-a","nfId":"ID9","nfName":"edge-a","parentGroupId":"ID9",'
    '"platformInfo":{"platform":"NNOSVM","serialNumber":"--"},"softwareInfo":{"configVersion":"12","version":"SCZ910"}'
)
GROUP = {"fullName": "West", "id": "ID11", "isHidden": False, "name": "West", "parentGroupId": "ID0"}
NF = {
    "groupType": "DEVICE", "hidden": False, "id": "ID9", "name": "edge-a",
    "parentGroupFullName": "Home", "parentGroupId": "ID1",
}  # fmt: skip
NF_XML = (
    "<groupType>DEVICE</groupType><hidden>false</hidden><id>ID9</id><name>edge-a</name>"
    "<parentGroupFullName>Home</parentGroupFullName><parentGroupId>ID1</parentGroupId>"
)
CATEGORY = {
    "id": "ID2", "name": "SP Edge & Core", "nfTypes": [{"name": "Device"}, {"name": "Device Cluster"}],
    "product": "Session Delivery", "vendor": "Oracle",
}  # fmt: skip
CHANGE = {"name": "r1", "operation": "created", "timestamp": "2024-01-02 03:04:05", "elementTypePath": "realmConfig"}
SNMP_MODE = {
    "name": "snmp.mode", "value": "v1v2", "description": "SNMP mode", "readOnly": True,
    "valueType": "SingleSelection", "validLists": {"valueList": ["v1v2", "v3"]},
}  # fmt: skip
ATTRIBUTE = {
    "valueType": "string", "name": "mode", "cliName": "mode", "key": False, "required": True, "defaultValue": "a",
    "delimiter": ",", "enumeratedValues": ["a", "b"], "regExpPattern": ["[ab]"], "referredElementType": "realmConfig",
    "referredValues": ["r1"], "validNumericRange": [{"min": 1, "max": 9}], "suggestedValues": ["a"],
}  # fmt: skip
ATTRIBUTE_XML = (
    "<cliName>mode</cliName><defaultValue>a</defaultValue><delimiter>,</delimiter><enumeratedValues>a"
    "</enumeratedValues><enumeratedValues>b</enumeratedValues><key>false</key><name>mode</name><referredElementType>"
    "realmConfig</referredElementType><referredValues>r1</referredValues><regExpPattern>[ab]</regExpPattern>"
    "<required>true</required><suggestedValues>a</suggestedValues><validNumericRange><min>1</min><max>9</max>"
    "</validNumericRange><valueType>string</valueType>"
)
ATTRIBUTE_JSON = (
    '{"cliName":"mode","defaultValue":"a","delimiter":",","enumeratedValues":["a","b"],"key":false,"name":"mode",'
    '"referredElementType":"realmConfig","referredValues":["r1"],"regExpPattern":["[ab]"],"required":true,'
    '"suggestedValues":["a"],"validNumericRange":[{"min":1,"max":9}],"valueType":"string"}'
)
RESULT = {
    "taskId": "T17", "status": "SUCCESS", "action": "SaveActivateConfig", "errorMessage": "e",
    "validationErrorMessage": "v", "isDeviceFirmwareChangedFailure": "false",
    **{f"is{step}Success": "SUCCESS" for step in ("ActivateConfig", "Create", "IntegrityCheck", "Lock", "SaveConfig")},
    **{f"is{step}Success": "SUCCESS" for step in ("Unlock", "Validation")},
    **{f"is{step}Success": "Not Applicable" for step in ("EraseCache", "RestoreConfig")},
}  # fmt: skip
RESULT_XML = (
    "<action>SaveActivateConfig</action><errorMessage>e</errorMessage>"
    "<isActivateConfigSuccess>SUCCESS</isActivateConfigSuccess><isCreateSuccess>SUCCESS</isCreateSuccess>"
    "<isDeviceFirmwareChangedFailure>false</isDeviceFirmwareChangedFailure><isEraseCacheSuccess>Not Applicable"
    "</isEraseCacheSuccess><isIntegrityCheckSuccess>SUCCESS</isIntegrityCheckSuccess><isLockSuccess>SUCCESS"
    "</isLockSuccess><isRestoreConfigSuccess>Not Applicable</isRestoreConfigSuccess><isSaveConfigSuccess>SUCCESS"
    "</isSaveConfigSuccess><isUnlockSuccess>SUCCESS</isUnlockSuccess><isValidationSuccess>SUCCESS"
    "</isValidationSuccess><status>SUCCESS</status><taskId>T17</taskId>"
    "<validationErrorMessage>v</validationErrorMessage>"
)
RESULT_JSON = (
    '{"action":"SaveActivateConfig","errorMessage":"e","isActivateConfigSuccess":"SUCCESS","isCreateSuccess":"SUCCESS",'
    '"isDeviceFirmwareChangedFailure":"false","isEraseCacheSuccess":"Not Applicable",'
    '"isIntegrityCheckSuccess":"SUCCESS","isLockSuccess":"SUCCESS","isRestoreConfigSuccess":"Not Applicable",'
    '"isSaveConfigSuccess":"SUCCESS","isUnlockSuccess":"SUCCESS","isValidationSuccess":"SUCCESS","status":"SUCCESS",'
    '"taskId":"T17","validationErrorMessage":"v"}'
)
PAGE = {"limitation": 50, "numberOfElements": 1, "offset": 1, "total": 1}

WRITES: list[tuple[Shape, dict[str, Any], str, str, str]] = [
    (resources.DEVICES, {"devices": [DEVICE]}, "flat", f"<devices><devices>{DEVICE_XML}</devices></devices>",
     f'{{"devices":[{{{DEVICE_JSON}}}]}}'),
    (resources.DEVICES, {"devices": [DEVICE]}, "nested", f"<devices><device>{DEVICE_XML}</device></devices>",
     f'{{"device":[{{{DEVICE_JSON}}}]}}'),
    (resources.MANAGED_DEVICE, DEVICE | {"statusChangeTime": "t", "lastOperation": "None", "status": "In Sync"}, "flat",
     f"<device>{DEVICE_XML}<lastOperation>None</lastOperation><status>In Sync</status>"
     "<statusChangeTime>t</statusChangeTime></device>",
     f'{{"type":"restManagedDevice",{DEVICE_JSON},"lastOperation":"None","status":"In Sync","statusChangeTime":"t"}}'),
    (resources.DEVICE, {"groupParameters": [SNMP_MODE], "connectivityStatus": False}, "flat",
     "<device><connectivityStatus>false</connectivityStatus><groupParameters><description>SNMP mode</description>"
     "<name>snmp.mode</name><readOnly>true</readOnly><value>v1v2</value><validLists><valueList>v1v2</valueList>"
     "<valueList>v3</valueList></validLists><valueType>SingleSelection</valueType></groupParameters></device>",
     '{"connectivityStatus":false,"groupParameters":[{"description":"SNMP mode","name":"snmp.mode","readOnly":true,'
     '"value":"v1v2","validLists":{"valueList":["v1v2","v3"]},"valueType":"SingleSelection"}]}'),
    (resources.DEVICE_GROUP, GROUP, "flat",
     "<deviceGroup><fullName>West</fullName><id>ID11</id><isHidden>false</isHidden><name>West</name>"
     "<parentGroupId>ID0</parentGroupId></deviceGroup>",
     '{"fullName":"West","id":"ID11","isHidden":"false","name":"West","parentGroupId":"ID0"}'),
    (resources.NFS, {"nfList": [NF]}, "flat", f"<nfs><nfList>{NF_XML}</nfList></nfs>",
     '{"nfList":[{"groupType":"DEVICE","hidden":false,"id":"ID9","name":"edge-a","parentGroupFullName":"Home",'
     '"parentGroupId":"ID1"}]}'),
    (resources.NFS, {"nfList": [{"id": "ID9"}]}, "nested", "<nfs><nf><id>ID9</id></nf></nfs>",
     '{"nf":[{"id":"ID9"}]}'),
    (resources.NF_CATEGORY, CATEGORY, "flat",
     "<nfCategory><id>ID2</id><name>SP Edge &amp; Core</name><nfTypes><name>Device</name></nfTypes>"
     "<nfTypes><name>Device Cluster</name></nfTypes><product>Session Delivery</product><vendor>Oracle</vendor>"
     "</nfCategory>",
     '{"id":"ID2","name":"SP Edge & Core","nfTypes":[{"name":"Device"},{"name":"Device Cluster"}],'
     '"product":"Session Delivery","vendor":"Oracle"}'),
    (resources.NF_TYPES, {"nfTypes": [{"name": "Device"}]}, "nested",
     "<nfTypes><nfType><name>Device</name></nfType></nfTypes>", '{"nfType":[{"name":"Device"}]}'),
    (resources.CONFIGURATION_CHANGES, {"changedConfigElements": [CHANGE]}, "flat",
     "<configurationChanges><changedConfigElements><name>r1</name><operation>created</operation>"
     "<timestamp>2024-01-02 03:04:05</timestamp></changedConfigElements></configurationChanges>",
     '{"changedConfigElements":[{"name":"r1","operation":"created","timestamp":"2024-01-02 03:04:05"}]}'),
    (resources.CONFIGURATION_CHANGES, {"changedConfigElements": []}, "flat",
     "<configurationChanges/>", '{"changedConfigElements":[]}'),
    (resources.CONFIG_ELEMENTS,
     {"configElements": [REALM | {"childrenElements": [{"elementTypePath": "c"}]}], "pageInfo": PAGE}, "flat",
     "<configElements><pageInfo><limitation>50</limitation><numberOfElements>1</numberOfElements><offset>1</offset>"
     "</pageInfo><configElements><attributes><name>id</name><value>r1</value></attributes>"
     "<childrenElements><elementTypePath>c</elementTypePath></childrenElements>"
     "<elementTypePath>realmConfig</elementTypePath></configElements></configElements>",
     '{"pageInfo":{"limitation":50,"numberOfElements":1,"offset":1},"configElements":[{"attributes":'
     '[{"name":"id","value":"r1"}],"childrenElements":[{"elementTypePath":"c"}],"elementTypePath":"realmConfig"}]}'),
    (resources.CONFIG_ELEMENT, REALM | {"childrenElements": [{"elementTypePath": "c"}]}, "nested",
     "<configElement><attributes><attribute><name>id</name><value>r1</value></attribute></attributes>"
     "<childrenElements><childrenElement><elementTypePath>c</elementTypePath></childrenElement></childrenElements>"
     "<elementTypePath>realmConfig</elementTypePath></configElement>",
     '{"attributes":{"attribute":[{"name":"id","value":"r1"}]},"childrenElements":{"childrenElement":'
     '[{"elementTypePath":"c"}]},"elementTypePath":"realmConfig"}'),
    (resources.ELEMENT_TYPES,
     {"elementTypes": [{"name": "realmConfig", "elementTypePath": "realmConfig", "keys": ["id"]}]}, "nested",
     "<elementTypes><elementType><elementTypePath>realmConfig</elementTypePath><name>realmConfig</name></elementType>"
     "</elementTypes>", '{"elementType":[{"elementTypePath":"realmConfig","name":"realmConfig"}]}'),
    (resources.ATTRIBUTE_METADATA, ATTRIBUTE, "flat",
     f"<attributeMetadata>{ATTRIBUTE_XML}</attributeMetadata>", ATTRIBUTE_JSON),
    (resources.ELEMENT_METADATA,
     {"subElement": [{"multiple": True, "elementTypePath": "a/b"}], "attributeMetadata": [ATTRIBUTE],
      "softwareVersion": "SCZ910"}, "flat",
     f"<elementMetadata><attributeMetadata>{ATTRIBUTE_XML}</attributeMetadata><subElement><elementTypePath>a/b"
     "</elementTypePath><multiple>true</multiple></subElement></elementMetadata>",
     f'{{"attributeMetadata":[{ATTRIBUTE_JSON}],"subElement":[{{"elementTypePath":"a/b","multiple":true}}]}}'),
    (resources.SAVE_ACTIVATE_RESULT, RESULT | {"holds": [{"elementTypePath": "a", "state": "old"}]}, "flat",
     f"<saveActivateResult>{RESULT_XML}</saveActivateResult>", RESULT_JSON),
    (resources.SERVER_INFO, {"clusterMembers": [{"name": "n", "downTime": "NA", "heartBeatCount": 5}]}, "nested",
     "<serverInfo><clusterMembers><clusterMember><downTime>NA</downTime><heartBeatCount>5</heartBeatCount>"
     "<name>n</name></clusterMember></clusterMembers></serverInfo>",
     '{"clusterMembers":{"clusterMember":[{"downTime":"NA","heartBeatCount":5,"name":"n"}]}}'),
    (resources.SESSION, {"sessionId": "0A.n1", "idleTimeout": 0, "userName": "ops1", "userGroup": "administrators",
                         "serverInfo": "NNC90"}, "flat",
     "<session><idleTimeout>0</idleTimeout><serverInfo>NNC90</serverInfo><sessionId>0A.n1</sessionId>"
     "<userGroup>administrators</userGroup><userName>ops1</userName></session>",
     '{"idleTimeout":0,"serverInfo":"NNC90","sessionId":"0A.n1","userGroup":"administrators","userName":"ops1"}'),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "values", "lists", "as_xml", "as_json"), WRITES)
def test_published_replies_are_written(
    shape: Shape, values: dict[str, Any], lists: str, as_xml: str, as_json: str
) -> None:
    assert shape.write(values, XML, version=V13, lists=lists) == xml.PROLOG + as_xml.encode()
    assert shape.write(values, JSON, version=V13, lists=lists) == as_json.encode()


def test_our_version_writes_the_boolean_and_the_total() -> None:
    assert json.loads(resources.DEVICE_GROUP.write(GROUP, JSON, version=V14))["isHidden"] is False
    listed = resources.DEVICES.write({"devices": [], "pageInfo": PAGE}, JSON, version=V14)
    assert listed == b'{"pageInfo":{"limitation":50,"numberOfElements":1,"offset":1,"total":1},"devices":[]}'
    assert resources.DEVICES.write({"devices": [], "pageInfo": PAGE}, JSON, version=V13) == b'{"devices":[]}'


def test_the_error_body_carries_any_facts() -> None:
    values = {
        "code": "DEVICE_LOCKED", "message": "a < b", "requestId": "r", "next": ["one", "two"],
        "blockers": [{"kind": "lock", "holder": "bob", "holderLoggedIn": True, "running": None, "epoch": 42}],
        "field": "type", "retryAfterSeconds": 3, "given": {"list": [1, None], "flag": True, "none": None},
        "not a name": "x", "absent": None,
    }  # fmt: skip
    expected = {key: values[key] for key in ("code", "message", "requestId", "blockers", "next", "field")}
    body = extensions.ERROR.write(values | {"given": {"list": [1, 2], "flag": True, "none": None}}, JSON, version=V13)
    read = json.loads(body)
    assert list(read)[:5] == ["code", "message", "requestId", "blockers", "next"]
    assert read["given"] == {"list": [1, 2], "flag": True}
    assert read["retryAfterSeconds"] == 3
    assert "not a name" not in read
    assert {key: read[key] for key in expected if key != "blockers"} == {
        key: value for key, value in expected.items() if key != "blockers"
    }
    text = extensions.ERROR.write(values | {"given": {"list": [1, 2]}}, XML, version=V13).decode()
    assert "<message>a &lt; b</message>" in text
    assert "<epoch>42</epoch></blockers><next>one</next><next>two</next><field>type</field>" in text
    assert "<given><list>1</list><list>2</list></given></error>" in text
