"""Envelopes as clients write them, by hand: nothing here knows how the server reads or writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx2
from lxml import etree

from tests.gatehouse import PASSWORD

BASE = "https://sdm.test"
V11 = "http://schemas.xmlsoap.org/soap/envelope/"
V12 = "http://www.w3.org/2003/05/soap-envelope"
OURS = "http://{}.service.ws.ems.acmepacket.com/"


def envelope(inner: str, *, namespace: str = V11, header: str = "") -> str:
    head = f"<e:Header>{header}</e:Header>" if header else ""
    return f'<e:Envelope xmlns:e="{namespace}">{head}<e:Body>{inner}</e:Body></e:Envelope>'


def request(name: str, inner: str = "", *, namespace: str | None = "urn:any") -> str:
    """The operation's element, in a namespace of nobody's."""
    if namespace is None:
        return f"<{name}>{inner}</{name}>"
    return f'<q:{name} xmlns:q="{namespace}">{inner}</q:{name}>'


@dataclass
class Reply:
    """An answer, taken apart with lxml alone."""

    status: int
    headers: httpx2.Headers
    text: str

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.text.encode())

    @property
    def body(self) -> etree._Element:
        (child,) = self.root[0]
        return child

    @property
    def fault(self) -> etree._Element:
        assert etree.QName(self.body).localname == "Fault", self.text
        return self.body

    @property
    def fault_code(self) -> str:
        found = self.fault.findtext("faultcode") or self.fault.findtext(f"{{{V12}}}Code/{{{V12}}}Value") or ""
        return found.partition(":")[2]

    @property
    def detail(self) -> etree._Element:
        """The typed element inside the fault's detail."""
        found = self.fault.find("detail")
        if found is None:
            found = self.fault.find(f"{{{V12}}}Detail")
        assert found is not None, self.text
        return found[0]

    @property
    def code(self) -> str:
        return self.detail.findtext("code") or ""

    def result(self) -> Any:
        """What `return` holds: text, a dictionary, or a list where there are several or none."""
        assert self.status == 200, self.text
        found = [_value(child) for child in self.body.findall("return")]
        return found[0] if len(found) == 1 else found


def _value(node: etree._Element) -> Any:
    if not len(node):
        return node.text or ""
    found: dict[str, Any] = {}
    for child in node:
        name, value = etree.QName(child).localname, _value(child)
        found[name] = [*_listed(found[name]), value] if name in found else value
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Soap:
    """Sends what it is told to a path below the services."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.token: str | None = None

    async def send(self, body: str | bytes, path: str = "anything", /, **headers: str | None) -> Reply:
        """Headers are given with `_` for `-`; None leaves one out."""
        sent: dict[str, str | None] = {"Content-Type": "text/xml; charset=utf-8"}
        if self.token is not None:
            sent["Cookie"] = f"JSESSIONID={self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.http.request(
            "POST",
            f"{BASE}/ACMEWS/services/{path}",
            content=body.encode() if isinstance(body, str) else body,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items() if value is not None],
        )
        self.http.cookies.clear()
        return Reply(answer.status_code, answer.headers, answer.text)

    async def call(self, name: str, inner: str = "", /, **headers: str | None) -> Reply:
        return await self.send(envelope(request(name, inner)), **headers)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.http.get(f"{BASE}/ACMEWS/services{path}", headers=headers)

    async def log_in(self, user: str) -> Soap:
        """Another client, with a session of its own."""
        reply = await self.call("login", f"<username>{user}</username><password>{PASSWORD}</password>")
        other = Soap(self.http)
        other.token = reply.result()
        assert re.fullmatch(r"[0-9A-F]{32}\.\S+", other.token or "")
        return other


def target(name: str) -> str:
    return f"<targetName>{name}</targetName>"


def config(kind: str, tag: str = "wsConfigElement", **attributes: str) -> str:
    inner = "".join(f"<attributeList><name>{n}</name><value>{v}</value></attributeList>" for n, v in attributes.items())
    return f"<{tag}><type>{kind}</type>{inner}</{tag}>"
