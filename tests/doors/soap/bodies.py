"""One request of every published operation, on a place where `edge-a` is a loaded virtual SBC."""

from __future__ import annotations

from collections.abc import Mapping

from tests.doors.soap.sender import config, target
from tests.gatehouse import PASSWORD

EDGE = target("edge-a")
REALM = "<elementType>realmConfig</elementType>"
DESCRIPTION = "<attributeName>description</attributeName>"
PORT = config("sipInterface/sipPort", "child", address="198.51.100.10", port="5062", transportProtocol="UDP")
INTERFACE = config("sipInterface", "parent", realmId="access")
BATCH = (
    "<soapBatch>"
    f"<operationsToApply><operation>ADD</operation>{config('realmConfig', 'configElement', id='batch-1')}"
    "</operationsToApply>"
    "<operationsToApply><operation>UPDATE</operation>"
    f"{config('realmConfig', 'configElement', id='batch-1', description='two')}</operationsToApply>"
    f"<operationsToApply><operation>DELETE</operation>{config('realmConfig', 'configElement', id='peering')}"
    "</operationsToApply>"
    "</soapBatch>"
)
NEW_DEVICE = (
    "<deviceInfoObject><deviceIPList>192.0.2.77</deviceIPList><username>ops</username><Password>s3cret-pw</Password>"
    "<communityName>lab</communityName><snmpPort>161</snmpPort><deviceGroupName>Home</deviceGroupName>"
    "<webServicesProtcol>HTTPS</webServicesProtcol><targetName>edge-new</targetName>"
    "<parameters><name>tls.verify</name><value>false</value></parameters></deviceInfoObject>"
)

BODIES: Mapping[str, str] = {
    "login": f"<username>alice</username><password>{PASSWORD}</password>",
    "logOut": "",
    "UsingExternalAAA": "",
    "usingExternalAAA": "",
    "getUserInfo": "<arg0>bob</arg0>",
    "getAllUserInfo": "",
    "getAllUsersInfo": "",
    "getAccountManagementInfo": "",
    "getLoginBanner": "",
    "getTrapReceivers": "",
    "NorthboundalarmSync": "",
    "NorthboundActiveAlarmSync": "",
    "addDevice": NEW_DEVICE,
    "loadDevice": EDGE,
    "deleteDevice": target("edge-new"),
    "saveConfig": EDGE,
    "activateConfig": EDGE,
    "saveAndActivateConfig": EDGE,
    "lockDevice": EDGE,
    "unlockDevice": EDGE,
    "deleteUserChanges": EDGE,
    "getAllManagedDevices": "",
    "getAllManagedDevicesNames": "",
    "getAllManagedDeviceTargetNames": "",
    "getAllManagedDevicesByDeviceGroup": "<devicetGroupPath>Home</devicetGroupPath>",
    "getSBCDetails": EDGE,
    "getDevicePollingInterval": "",
    "getAllDeviceGroupList": "",
    "addDeviceGroup": "<deviceGroupPath>Home/West</deviceGroupPath>",
    "deleteDeviceGroup": "<deviceGroupPath>Home/West</deviceGroupPath>",
    "getLCVContentSaveSessionReport": EDGE + "<userName></userName>",
    "getTopLevelElementCount": EDGE,
    "getNNCDetails": "",
    "getAllAssociatedDevicesInEMSLicense": "",
    "getAllAssociatedDevicesInEMLicense": "",
    "addDeviceToEMSLicense": EDGE,
    "addDeviceToEMLicense": EDGE,
    "removeDeviceFromEMSLicense": EDGE,
    "removeDeviceFromEMLicense": EDGE,
    "disassociateDeviceFromElementManager": EDGE,
    "getTopLevelConfigElementTypeNames": EDGE,
    "getPrimaryKeyByElementType": EDGE + REALM,
    "getSubElementTypesByElementType": EDGE + REALM.replace("realmConfig", "sipInterface"),
    "getRequiredSubElementTypesByElementType": EDGE + REALM,
    "getRequiredSubElementsByElementType": EDGE + REALM,
    "getAllSupportedAttributeInfoByElementType": EDGE + REALM,
    "getConfigElementMetaData": EDGE + REALM,
    "getConfigAttributeMetaData": EDGE + REALM + DESCRIPTION,
    "getValuesForReferenceAttribute": EDGE
    + "<elementType>sipInterface</elementType><attributeName>realmId</attributeName>",
    "newConfigElement": EDGE + REALM,
    "getConfigElement": EDGE + config("realmConfig", id="core"),
    "getAllConfigElements": EDGE + REALM,
    "addConfigElement": EDGE + config("realmConfig", id="peering", description="one"),
    "updateConfigElement": EDGE + config("realmConfig", id="peering", description="two"),
    "replace": EDGE + config("realmConfig", id="peering", description="three"),
    "deleteConfigElement": EDGE + config("realmConfig", id="spare"),
    "addSubElement": EDGE + INTERFACE + PORT,
    "deleteSubElement": EDGE + INTERFACE + PORT,
    "applyBatch": EDGE + BATCH,
    "encryptedPassword": "<configurationPasswordInfo>a</configurationPasswordInfo><inputPassword>b</inputPassword>",
    "getACLItoACPMapping": EDGE,
    "getACLItoACPMappingList": EDGE,
}
