"""Many network functions at once, and what works on a host: the resources that 1.4 adds for them."""

from __future__ import annotations

from opensdm.doors.rest.fields import Bool, Child, Int, ListOf, Members, Text, Texts
from opensdm.doors.rest.resources import NF_CONFIG, PARAMETER
from opensdm.doors.rest.shapes import Shape

NF_CONFIGS = Shape(
    "nfConfigs",
    Members("nfConfigs", NF_CONFIG, nested="nfConfig"),
    sample={"nfConfigs": [NF_CONFIG.sample]},
    required=("nfConfigs",),
)
EXPORTED = Shape("nfConfigs", Members("nfConfigs", NF_CONFIG, nested="nfConfig"), Texts("leftOut", nested="name"))
IMPORTED_ROW = Shape(
    "row",
    Int("number"),
    Text("name"),
    Bool("ok"),
    Text("nfId"),
    Texts("deviceIds", nested="deviceId"),
    Text("code"),
    Text("message"),
)
IMPORT_RESULT = Shape(
    "importResult", Bool("dryRun"), Int("added"), Int("failed"), ListOf("rows", IMPORTED_ROW, nested="row")
)

DEVICE_FACTS = Shape(
    "deviceFacts",
    Text("deviceId"),
    Text("hostName"),
    Text("platform"),
    Text("softwareVersion"),
    Text("role"),
    Text("serialNumber"),
    Text("state"),
    Int("healthPercent"),
    Text("upTime"),
)
PROBE = Shape(
    "probe",
    Text("platform"),
    ListOf("parameters", PARAMETER, nested="parameter"),
    sample={
        "platform": "acme_sbc",
        "parameters": [
            {"name": "primary.ip", "value": "192.0.2.7"},
            {"name": "username", "value": "USER"},
            {"name": "password", "value": "PASSWORD"},
        ],
    },
    required=("platform", "parameters"),
)
CAPABILITIES = Shape(
    "capabilities",
    Bool("candidate"),
    Bool("deviceLock"),
    Bool("verify"),
    Bool("separateSave"),
    Bool("savesLast"),
    Bool("restore"),
    Bool("confirmedCommit"),
    Bool("endsForeignSession"),
    Bool("writes"),
)
FINDING = Shape("finding", Text("step"), Bool("ok"), Text("message"))
PROBE_REPORT = Shape(
    "probeReport",
    Text("address"),
    Text("platform"),
    ListOf("findings", FINDING, nested="finding"),
    Child("facts", DEVICE_FACTS),
    Child("capabilities", CAPABILITIES),
    Int("elementTypes"),
    Int("elements"),
    ListOf("trust", PARAMETER, nested="parameter"),
)
