"""The published resources, field for field in the published order; `own=True` marks what version 1.4 adds.

Requests that share a root but not their meaning have a shape each, so that an error shows the right body.
"""

from __future__ import annotations

from opensdm.doors.rest.extensions import DEVICE_LOCK
from opensdm.doors.rest.fields import ITSELF, Bool, Child, Int, ListOf, Members, Text, Texts
from opensdm.doors.rest.paging import LATER_PAGE, PUBLISHED_PAGE
from opensdm.doors.rest.shapes import Shape

# ---------------------------------------------------------------------------------------- admin

LOGIN = Shape(
    "session",
    Text("userName"),
    Text("password"),
    sample={"userName": "USER", "password": "PASSWORD"},
    required=("userName", "password"),
)

SESSION = Shape(
    "session", Int("idleTimeout"), Text("serverInfo"), Text("sessionId"), Text("userGroup"), Text("userName")
)

CLUSTER_MEMBER = Shape(
    "clusterMember",
    Text("downTime"),
    Int("failureHeartBeatCount"),
    Int("heartBeatCount"),
    Int("inactivityHeartBeatCount"),
    Text("ipAddress"),
    Text("lastHeartBeatTime"),
    Int("maxFailureHeartBeatCount"),
    Int("missedHeartBeatCount"),
    Text("name"),
    Int("resetCount"),
    Text("status"),
    Text("upTime"),
)

SERVER_INFO = Shape("serverInfo", ListOf("clusterMembers", CLUSTER_MEMBER, nested="clusterMember"))

# -------------------------------------------------------------------------------------- actions

_ACTION_FIELDS = (
    Text("type"),
    Text("reason", own=True),
    Int("waitSeconds", own=True),
    Int("leaseSeconds", own=True),
    Text("scope", own=True),
    Int("epoch", own=True),
)

DEVICE_ACTION = Shape("deviceAction", *_ACTION_FIELDS, sample={"type": "Lock"}, required=("type",))
PUSH_ACTION = Shape(
    "deviceAction",
    *_ACTION_FIELDS,
    Text("changeSet", own=True),
    Bool("dryRun", own=True),
    Bool("asTask", own=True),
    sample={"type": "SaveActivateConfig"},
    required=("type",),
)
DEVICE_GROUP_ACTION = Shape("deviceGroupAction", *_ACTION_FIELDS, sample={"type": "Lock"}, required=("type",))

# ------------------------------------------------------------------------------------ inventory

VALID_LISTS = Shape("validLists", Texts("valueList"))

PARAMETER = Shape(
    "parameter",
    Text("description"),
    Text("label"),
    Int("maxValue"),
    Int("minValue"),
    Text("name"),
    Bool("readOnly"),
    Texts("validValues", nested="validValue"),
    Text("value", loose=True),
    Child("validLists", VALID_LISTS),
    Text("valueType"),
    Text("defaultValue", own=True, loose=True),
    Bool("required", own=True),
)

PARAMETERS = Shape("parameters", *LATER_PAGE, Members("parameters", PARAMETER, nested="parameter"))

PLATFORM_INFO = Shape("platformInfo", Text("platform"), Text("serialNumber"))
SOFTWARE_INFO = Shape("softwareInfo", Text("configVersion"), Text("version"))

_DEVICE_FIELDS = (
    Text("bootstrapState"),
    Bool("connectivityStatus"),
    Text("description"),
    ListOf("groupParameters", PARAMETER, nested="groupParameter"),
    Text("id"),
    Text("ip"),
    Text("key"),
    Bool("manageable"),
    Text("name"),
    Text("nfId"),
    Text("nfName"),
    ListOf("parameters", PARAMETER, nested="parameter"),
    Text("parentGroupId"),
    Child("platformInfo", PLATFORM_INFO),
    Child("softwareInfo", SOFTWARE_INFO),
)
_MANAGED_FIELDS = (
    Text("lastOperation"),
    Text("loadedConfigVersion"),
    Text("pendingChanges"),
    Text("status"),
    Text("statusChangeTime"),
)
_LOCK_FIELD = Child("lock", DEVICE_LOCK, own=True)

DRIFTED = Shape("element", Text("elementTypePath"), Texts("key"))
DRIFT = Shape(
    "drift",
    Text("foundAt"),
    Int("total"),
    ListOf("elements", DRIFTED, nested="element"),
    Text("lockedBy"),
    Int("version"),
)

DEVICE = Shape("device", *_DEVICE_FIELDS, _LOCK_FIELD)
MANAGED_DEVICE = Shape(
    "device",
    *_DEVICE_FIELDS,
    *_MANAGED_FIELDS,
    _LOCK_FIELD,
    Child("drift", DRIFT, own=True),
    json_type="restManagedDevice",
)
DEVICES = Shape("devices", *LATER_PAGE, Members("devices", DEVICE, nested="device"))
MANAGED_DEVICES = Shape("devices", *LATER_PAGE, Members("devices", MANAGED_DEVICE, nested="device"))

DEVICE_ASSOCIATION = Shape(
    "deviceAssociation",
    Text("deviceName"),
    Text("nfName"),
    sample={"deviceName": "DEVICE", "nfName": "NETWORK-FUNCTION"},
    required=("deviceName",),
)

DEVICE_GROUP = Shape(
    "deviceGroup",
    Text("fullName"),
    Text("id"),
    Bool("isHidden", quoted=True),
    Text("name"),
    ListOf("parameters", PARAMETER, nested="parameter"),
    Text("parentGroupFullName"),
    Text("parentGroupId"),
    Text("type"),
)
DEVICE_GROUPS = Shape("deviceGroups", *LATER_PAGE, Members("deviceGroups", DEVICE_GROUP, nested="deviceGroup"))

NEW_DEVICE_GROUP = DEVICE_GROUP.asking({"name": "West", "parentGroupFullName": "Home"}, "name")
CHANGED_DEVICE_GROUP = DEVICE_GROUP.asking({"name": "West", "parentGroupFullName": "Home"})
CHANGED_CREDENTIALS = DEVICE_GROUP.asking(
    {"parameters": [{"name": "username", "value": "USER"}, {"name": "password", "value": "PASSWORD"}]}, "parameters"
)

NF_TYPE = Shape("nfType", Text("name"))
NF_TYPES = Shape("nfTypes", *LATER_PAGE, Members("nfTypes", NF_TYPE, nested="nfType"))
NF_CATEGORY = Shape(
    "nfCategory",
    Text("id"),
    Text("name"),
    ListOf("nfTypes", NF_TYPE, nested="nfType"),
    Text("product"),
    Text("vendor"),
)
NF_CATEGORIES = Shape("nfCategories", *LATER_PAGE, Members("nfCategories", NF_CATEGORY, nested="nfCategory"))

NF_CHILD = Shape(
    "child", Text("id"), Text("ipAddress"), Text("name"), Text("parentGroupFullName"), Text("parentGroupId")
)
NF = Shape(
    "nf",
    ListOf("groups", DEVICE_GROUP, nested="group"),
    Text("groupType"),
    Bool("hidden"),
    Text("id"),
    Text("name"),
    Child("nfCategory", NF_CATEGORY),
    Child("nfType", NF_TYPE),
    Text("parentGroupFullName"),
    Text("parentGroupId"),
    ListOf("children", NF_CHILD, nested="child", own=True),
)
NFS = Shape("nfs", *LATER_PAGE, Members("nfList", NF, nested="nf"))

DEVICE_CONFIG = Shape("deviceConfig", Text("name"), ListOf("parameters", PARAMETER, nested="parameter"))
NFC_CONFIG = Shape(
    "nfcConfig",
    Text("name"),
    ListOf("deviceConfigs", DEVICE_CONFIG, nested="deviceConfig"),
    ListOf("parameters", PARAMETER, nested="parameter"),
)
NF_CONFIG = Shape(
    "nfConfig",
    Text("name"),
    Text("parentGroupFullName"),
    Child("nfCategory", NF_CATEGORY),
    Child("nfType", NF_TYPE),
    ListOf("parameters", PARAMETER, nested="parameter"),
    ListOf("nfcConfigs", NFC_CONFIG, nested="nfcConfig"),
    sample={
        "name": "edge-a",
        "parentGroupFullName": "Home",
        "nfCategory": {"name": "SP Edge & Core", "product": "Session Delivery", "vendor": "Oracle"},
        "nfType": {"name": "Device"},
        "parameters": [
            {"name": "primary.ip", "value": "192.0.2.7"},
            {"name": "username", "value": "USER"},
            {"name": "password", "value": "PASSWORD"},
        ],
    },
    required=("name",),
)
MOVED_NF = NF_CONFIG.asking({"parentGroupFullName": "Home/West"}, "parentGroupFullName")

# -------------------------------------------------------------------------------- configuration

ATTRIBUTE = Shape("attribute", Text("name"), Text("value", loose=True))
CONFIG_ELEMENT = Shape(
    "configElement",
    ListOf("attributes", ATTRIBUTE, nested="attribute"),
    ListOf("childrenElements", ITSELF, nested="childrenElement"),
    Text("elementTypePath"),
    Child("parentElement", ITSELF),
    sample={"elementTypePath": "realmConfig", "attributes": [{"name": "id", "value": "r1"}]},
    required=("elementTypePath",),
)
CONFIG_BATCH = Shape(
    "configBatch",
    ListOf("edits", Shape("edit", Text("operation"), Child("configElement", CONFIG_ELEMENT)), nested="edit"),
    sample={"edits": [{"operation": "ADD", "configElement": CONFIG_ELEMENT.sample}]},
    required=("edits",),
)
CONFIG_ELEMENTS = Shape(
    "configElements", *PUBLISHED_PAGE, Members("configElements", CONFIG_ELEMENT, nested="configElement")
)

ELEMENT_TYPE = Shape(
    "elementType",
    Text("elementTypePath"),
    Text("name"),
    Text("cliName", own=True),
    Texts("keys", nested="key", own=True),
    Bool("singleton", own=True),
)
ELEMENT_TYPES = Shape("elementTypes", *LATER_PAGE, Members("elementTypes", ELEMENT_TYPE, nested="elementType"))
ELEMENT_TYPE_REQUEST = Shape(
    "elementTypeRequest",
    Text("elementTypePath"),
    sample={"elementTypePath": "realmConfig"},
    required=("elementTypePath",),
)
ATTRIBUTE_TYPE_REQUEST = Shape(
    "attributeTypeRequest",
    Text("attributeName"),
    Text("elementTypePath"),
    sample={"attributeName": "id", "elementTypePath": "realmConfig"},
    required=("attributeName", "elementTypePath"),
)

NUMERIC_RANGE = Shape("validNumericRange", Int("min"), Int("max"))
ATTRIBUTE_METADATA = Shape(
    "attributeMetadata",
    Text("cliName"),
    Text("defaultValue"),
    Text("delimiter"),
    Texts("enumeratedValues", nested="enumeratedValue"),
    Bool("key"),
    Text("name"),
    Text("referredElementType"),
    Texts("referredValues", nested="referredValue"),
    Texts("regExpPattern"),
    Bool("required"),
    Texts("suggestedValues", nested="suggestedValue"),
    ListOf("validNumericRange", NUMERIC_RANGE),
    Text("valueType"),
)
SUB_ELEMENT = Shape("subElement", Text("elementTypePath"), Bool("required"), Bool("multiple"))
ELEMENT_METADATA = Shape(
    "elementMetadata",
    ListOf("attributeMetadata", ATTRIBUTE_METADATA),
    ListOf("subElement", SUB_ELEMENT),
    Text("elementTypePath", own=True),
    Text("cliName", own=True),
    Bool("singleton", own=True),
    Text("platform", own=True),
    Text("softwareVersion", own=True),
)

CHANGED_ATTRIBUTE = Shape("attribute", Text("name"), Text("oldValue"), Text("newValue"))
CONFIGURATION_CHANGE = Shape(
    "configurationChange",
    Text("name"),
    Text("operation"),
    Text("timestamp"),
    Text("elementTypePath", own=True),
    ListOf("attributes", CHANGED_ATTRIBUTE, nested="attribute", own=True),
)
CONFIGURATION_CHANGES = Shape(
    "configurationChanges",
    *LATER_PAGE,
    Members("changedConfigElements", CONFIGURATION_CHANGE, nested="configurationChange"),
    Text("diff", own=True),
)
HELD = Shape("held", Text("elementTypePath"), Texts("key"), Text("state"))

SAVE_ACTIVATE_RESULT = Shape(
    "saveActivateResult",
    Text("action"),
    Text("errorMessage"),
    Text("isActivateConfigSuccess"),
    Text("isCreateSuccess"),
    Text("isDeviceFirmwareChangedFailure"),
    Text("isEraseCacheSuccess"),
    Text("isIntegrityCheckSuccess"),
    Text("isLockSuccess"),
    Text("isRestoreConfigSuccess"),
    Text("isSaveConfigSuccess"),
    Text("isUnlockSuccess"),
    Text("isValidationSuccess"),
    Text("status"),
    Text("taskId"),
    Text("validationErrorMessage"),
    ListOf("holds", HELD, nested="held", own=True),
)
