"""A virtual SBC on a real socket, and a client of it that is not ours (requests)."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import requests
from lxml import etree

from opensdm.simulator import VirtualSbc

USER, PASSWORD = "netops", "Sbc-secret-1"
VIEWER, VIEWER_PASSWORD = "looker", "Sbc-secret-2"
T = TypeVar("T")


class Box:
    """One running virtual SBC."""

    def __init__(self, loop: "LoopThread", *, plain_port: int | None = None, **options: Any) -> None:
        options = {"plain_http": True, "job_delay_s": 0.02, "controllable": True, **options}
        self._loop = loop
        self.simulator = VirtualSbc(
            "sbc-1", username=USER, password=PASSWORD, viewer=(VIEWER, VIEWER_PASSWORD), **options
        )
        self.address = self.run(self.simulator.start("127.0.0.1", 0, plain_port=plain_port))
        scheme = "http" if options["plain_http"] else "https"
        self.url = f"{scheme}://127.0.0.1:{self.address[1]}"

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        return self._loop.begin(job).result(20)

    def begin_close(self) -> Future[None]:
        return self._loop.begin(self.simulator.stop())


class LoopThread:
    """An event loop in a thread of its own, so that blocking clients can be used beside it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def begin(self, job: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(job, self._loop)

    def close(self) -> None:
        self.begin(self._loop.shutdown_default_executor()).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Client:
    """requests, with the base path, the token and the XML of the device-side API at hand."""

    def __init__(self, url: str, version: str = "v1.2", verify: Path | None = None) -> None:
        self.base = f"{url}/rest/{version}"
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Accept"] = "application/xml"
        self.http.verify = str(verify) if verify else True
        self.token = ""

    def log_in(self, username: str = USER, password: str = PASSWORD) -> "Client":
        answer = self.http.post(f"{self.base}/auth/token", auth=(username, password), timeout=10)
        assert answer.status_code == 200, answer.text
        self.use(texts(answer, "data/accessToken")[0])
        return self

    def use(self, token: str) -> None:
        self.token = token
        self.http.headers["Authorization"] = f"Bearer {token}"

    def renew(self, token: str | None = None, **headers: str) -> requests.Response:
        return self.http.post(
            f"{self.base}/auth/token",
            data=(token or self.token).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
            auth=(USER, PASSWORD),
            timeout=10,
        )

    def call(self, method: str, path: str, body: str | bytes | None = None, **options: Any) -> requests.Response:
        headers = {"Content-Type": "application/xml"} if body is not None else {}
        headers |= options.pop("headers", {})
        data = body.encode() if isinstance(body, str) else body
        return self.http.request(
            method, f"{self.base}/{path}", data=data, headers=headers, timeout=options.pop("timeout", 10), **options
        )

    def lock(self) -> int:
        return self.call("POST", "configuration/lock").status_code

    def unlock(self) -> int:
        return self.call("POST", "configuration/unlock").status_code

    def elements(self, element_type: str, **query: str) -> requests.Response:
        return self.call("GET", "configuration/configElements", params={"elementType": element_type, **query})

    def add(self, body: str) -> requests.Response:
        return self.call("POST", "configuration/configElements", body)

    def change(self, body: str) -> requests.Response:
        return self.call("PUT", "configuration/configElements", body)

    def delete(self, element_type: str, **keys: str) -> requests.Response:
        return self.call("DELETE", "configuration/configElements", params={"elementType": element_type, **keys})

    def manage(self, method: str, action: str, **query: str) -> requests.Response:
        return self.call(method, "configuration/management", params={"action": action, **query})

    def finish(self, accepted: requests.Response) -> etree._Element:
        """Poll the link of a 202 until the job is over; its `operationState`."""
        assert accepted.status_code == 202, accepted.text
        link = texts(accepted, "links/link")[0]
        for _ in range(500):
            answer = self.http.get(link, timeout=10)
            assert answer.status_code == 200, answer.text
            state = xml(answer).find("data/operationState")
            assert state is not None
            if state.findtext("status") != "inProgress":
                return state
            time.sleep(0.01)
        raise AssertionError("the job did not end")

    def do(self, method: str, action: str, **query: str) -> str:
        """Run an operation to its end; its status."""
        return self.finish(self.manage(method, action, **query)).findtext("status") or ""


def xml(answer: requests.Response) -> etree._Element:
    assert answer.headers["content-type"] == "application/xml", answer.headers
    root = etree.fromstring(answer.content)
    assert [part.tag for part in root] == ["data", "messages", "links"] and root.tag == "response"
    return root


def texts(answer: requests.Response, path: str) -> list[str]:
    return [node.text or "" for node in xml(answer).findall(path)]


def message(answer: requests.Response) -> str:
    return texts(answer, "messages/errorMessage")[0]


def values(element: etree._Element, name: str) -> list[str]:
    """The values of one attribute of a configElement or subElement."""
    for attribute in element.findall("attribute"):
        if attribute.findtext("name") == name:
            return [value.text or "" for value in attribute.findall("value")]
    raise AssertionError(f"no attribute {name}")


def found(answer: requests.Response) -> list[etree._Element]:
    assert answer.status_code == 200, answer.text
    return xml(answer).findall("data/configElement")


def element(kind: str, *children: str, tag: str = "configElement", **attributes: str | list[str]) -> str:
    """The body of a write; underscores in attribute names stand for hyphens."""
    inner = ""
    for name, value in attributes.items():
        many = value if isinstance(value, list) else [value]
        inner += f"<attribute><name>{name.replace('_', '-')}</name>"
        inner += "".join(f"<value>{each}</value>" for each in many) + "</attribute>"
    return f"<{tag}><elementType>{kind}</elementType>{inner}{''.join(children)}</{tag}>"


def sub(kind: str, **attributes: str | list[str]) -> str:
    return element(kind, tag="subElement", **attributes)
