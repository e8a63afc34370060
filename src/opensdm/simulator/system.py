"""The resources of the device-side REST API that are not about its configuration: state, version, numbers, HA, boot."""

import falcon
from falcon.asgi import Request, Response
from lxml import etree

from opensdm.simulator.gatekeeper import DeviceResource, Refused
from opensdm.simulator.rest import accepted
from opensdm.simulator.wire import MalformedBody, envelope, parent, read_fields, text_element


class SystemStatus(DeviceResource):
    """`GET /system/status`: role, state, health and uptime in seconds; of a pair, who the other unit is."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        device = self.device
        role = device.controls.role
        facts = {
            "role": role,
            "systemState": "offline" if role == "out of service" else "online",
            "healthScorePercent": "0" if role == "out of service" else "100",
            "upTime": str(device.uptime_s),
            "hostName": device.name,
        }
        if device.peer is not None:
            facts |= {"haPeerHostName": device.peer.name, "haPeerRole": device.peer.controls.role}
        resp.data = envelope([text_element(name, value) for name, value in facts.items()])


class SystemVersion(DeviceResource):
    """`GET /system/version`: the software it says it runs; the product name says that it is a simulator."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        facts = {
            "productName": "OpenSDM virtual SBC (simulator)",
            "buildVersion": self.device.version,
            "host": self.device.name,
        }
        resp.data = envelope([parent("systemVersionInfo", *(text_element(*fact) for fact in facts.items()))])


class Kpis(DeviceResource):
    """`GET /statistics/kpis?type=globalSessions`: no calls pass through a simulator, so both numbers are 0."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        wanted: str = req.get_param("type", required=True)
        if wanted != "globalSessions":
            raise Refused(404, f"There are no statistics of type {wanted}")
        resp.data = envelope([text_element(name, "0") for name in ("sysGlobalCPS", "sysGlobalConSessions")])


class Switchover(DeviceResource):
    """`POST /admin/switchover`: the active unit of a pair gives way to the other one."""

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        if self.device.peer is None:
            raise Refused(409, "The system is not one of a pair")
        self.device.switch_over()
        req.context.note.stored = True
        resp.status = falcon.HTTP_204


class Reboot(DeviceResource):
    """`POST /admin/reboot`: forgets tokens, lock and unsaved edits, and runs what was saved."""

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        if self.device.jobs.busy:
            raise Refused(423, "Another operation is in progress")
        self.device.reboot()
        accepted(req, resp, version)


class BootParameters(DeviceResource):
    """`/configuration/bootparams`: what the device starts with; a change takes the lock."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        resp.data = envelope([self._shown()])

    async def on_put(self, req: Request, resp: Response, version: str) -> None:
        self.require_lock(req)
        known = self.device.boot_parameters
        try:
            given = read_fields(req.context.body, "bootParams")
        except MalformedBody as fault:
            raise Refused(400, str(fault)) from None
        if unknown := given.keys() - known:
            raise Refused(400, f"There is no boot parameter {', '.join(sorted(unknown))}")
        known.update(given)
        req.context.note.stored = True
        resp.data = envelope([self._shown()])

    def _shown(self) -> etree._Element:
        return parent("bootParams", *(text_element(*each) for each in self.device.boot_parameters.items()))
