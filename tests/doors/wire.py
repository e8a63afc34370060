"""Bodies as clients write them, by hand: nothing here knows how the server reads or writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from lxml import etree


class Answer(Protocol):
    """A reply, as either of the HTTP clients of the tests has it."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def content(self) -> bytes: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


NF = {
    "json": """{{"name":"{name}","parentGroupFullName":"Home",
        "nfCategory":{{"name":"SP Edge & Core","product":"Session Delivery","vendor":"Oracle"}},
        "nfType":{{"name":"Device"}},"parameters":[{{"name":"primary.ip","value":"{address}"}},
        {{"name":"username","value":"netops"}},{{"name":"password","value":"Sbc-secret-1"}},
        {{"name":"transport","value":"http"}},{{"name":"read.only","value":"{read_only}"}}]}}""",
    "xml": """<?xml version="1.0"?><nfConfig><name>{name}</name><parentGroupFullName>Home</parentGroupFullName>
        <nfCategory><name>SP Edge &amp; Core</name><product>Session Delivery</product><vendor>Oracle</vendor>
        </nfCategory>
        <nfType><name>Device</name></nfType>
        <parameters><name>primary.ip</name><value>{address}</value></parameters>
        <parameters><name>username</name><value>netops</value></parameters>
        <parameters><name>password</name><value>Sbc-secret-1</value></parameters>
        <parameters><name>transport</name><value>http</value></parameters>
        <parameters><name>read.only</name><value>{read_only}</value></parameters></nfConfig>""",
}


def nf_config(medium: str, name: str, address: str = "192.0.2.9", read_only: str = "false") -> str:
    return NF[medium].format(name=name, address=address, read_only=read_only)


def parameters(medium: str, **values: str) -> str:
    """A group's changed parameters; `snmp_port` is `snmp.port`."""
    named = {name.replace("_", "."): value for name, value in values.items()}
    if medium == "json":
        return json.dumps({"parameters": [{"name": n, "value": v} for n, v in named.items()]})
    inner = "".join(f"<parameters><name>{n}</name><value>{v}</value></parameters>" for n, v in named.items())
    return f"<deviceGroup>{inner}</deviceGroup>"


def element(medium: str, path: str, **attributes: str) -> str:
    if medium == "json":
        listed = [{"name": n, "value": v} for n, v in attributes.items()]
        return json.dumps({"elementTypePath": path, "attributes": listed})
    inner = "".join(f"<attributes><name>{n}</name><value>{v}</value></attributes>" for n, v in attributes.items())
    return f"<configElement><elementTypePath>{path}</elementTypePath>{inner}</configElement>"


def simple(medium: str, root: str, **fields: str) -> str:
    """A body of plain fields."""
    if medium == "json":
        return json.dumps(fields)
    return f"<{root}>{''.join(f'<{n}>{v}</{n}>' for n, v in fields.items())}</{root}>"


def read(answer: Answer) -> Any:
    """A reply as a dictionary: XML children by name, repeated ones as a list, so that both forms read alike."""
    if answer.headers["Content-Type"] == "application/json":
        return answer.json()
    return _node(etree.fromstring(answer.content))


def _node(node: etree._Element) -> Any:
    if not len(node):
        return node.text or ""
    found: dict[str, Any] = {}
    for child in node:
        name, value = str(child.tag), _node(child)
        if name in found:
            found[name] = [*found[name], value] if isinstance(found[name], list) else [found[name], value]
        else:
            found[name] = value
    return found


def listed(value: Any) -> list[Any]:
    """A list member as a list: XML does not tell one item from a list of one."""
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def members(answer: Answer, name: str) -> list[Any]:
    """The items of a list reply."""
    assert answer.status_code == 200, answer.text
    body = read(answer)
    return listed(body.get(name)) if isinstance(body, dict) else []


def refused(answer: Answer, status: int, code: str) -> Any:
    """The error body of a refusal, checked for what every one of them has."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    body = read(answer)
    if answer.headers["Content-Type"] == "application/xml":
        assert etree.fromstring(answer.content).tag == "error"
    assert body["code"] == code, body
    assert len(body["message"]) > 10
    assert body["requestId"] == answer.headers["X-Request-Id"]
    calls = listed(body["next"])
    assert 1 <= len(calls) <= 2 and all(call.startswith(("curl ", "opensdm lock ")) for call in calls), calls
    return body
