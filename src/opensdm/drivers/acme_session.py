"""A logged-in presence on one unit of an SBC: API version, token and its life, paging, polling."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from opensdm.core.errors import Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.drivers.acme_http import Answer, Params, UnitHttp, refused
from opensdm.drivers.acme_tls import Transport
from opensdm.drivers.acme_xml import Envelope, JobState

PAGE = 100
MAX_PAGES = 20_000
POLL_FIRST_S, POLL_GROWTH, POLL_MAX_S = 0.1, 1.6, 3.0
POLL_FAILURES = 5
"""So many polls in a row may go unanswered before the job's end counts as unknown."""
TOKEN_PATH = "auth/token"
JOB_PATH = "admin/asyncstatus"
"""Of the latest job, whoever began it; a job's own link leads there, too."""
ACTIVE_ROLES = frozenset({"active", "standalone"})
_RUNNING = frozenset({"inprogress", "in progress", "in-progress", "pending", "running", "started", "queued", ""})


class UnitSession:
    """One unit. `lineage` changes when a token was got by logging in: a lock of the token before is then lost."""

    def __init__(
        self, address: str, transport: Transport, credentials: Credentials, versions: Sequence[str], token_life_s: float
    ) -> None:
        self.address = address
        self.version = versions[-1]
        self.lineage = 0
        self.known_role = ""
        self.may_hold_lock = False
        self._http = UnitHttp(address, transport)
        self._credentials = credentials
        self._versions = versions
        self._token_life_s = token_life_s
        self._token = ""
        self._token_since = 0.0

    # ------------------------------------------------------------------------------------------ token

    async def open(self) -> None:
        """Agree on a version, then log in. Raises Unreachable, or Rejected for a wrong user or password."""
        self.version = await self._agree_on_version()
        await self.log_in()

    @property
    def sound(self) -> bool:
        """Whether it is logged in and its last request was answered to the end."""
        return bool(self._token) and self._http.sound

    @property
    def token(self) -> str:
        return self._token

    @property
    def token_ends(self) -> float:
        """The instant of `time.monotonic()` at which the device forgets our token, as far as we know."""
        return self._token_since + self._token_life_s

    @property
    def due(self) -> bool:
        """A token is renewed at half its life, so that even a long job ends within it."""
        return not self._token or time.monotonic() > self._token_since + self._token_life_s / 2

    async def log_in(self) -> None:
        answer = await self._ask_token(None, None)
        self.accept_token(answer)
        self.lineage += 1
        self.may_hold_lock = False

    async def renew(self, send_before: float | None = None) -> Answer:
        """Ask for a successor of the present token, which keeps its lock; `accept_token` takes it."""
        return await self._ask_token(self._token.encode(), send_before)

    def accept_token(self, answer: Answer) -> None:
        token = answer.envelope.value("accessToken")
        if answer.status != 200 or not token:
            self._token = ""
            refusal = self.refused(answer, f"the login of user {self._credentials.username!r}")
            refusal.facts["stage"] = "login"
            raise refusal
        self._token, self._token_since = token, time.monotonic()

    async def _ask_token(self, current: bytes | None, send_before: float | None) -> Answer:
        login = f"{self._credentials.username}:{self._credentials.password}"
        headers = {"Authorization": "Basic " + b64encode(login.encode()).decode()}
        if current is not None:
            headers["Content-Type"] = "x-www-form-urlencoded"
        return await self._http.request(
            "POST", self._url(TOKEN_PATH), headers=headers, body=current, send_before=send_before
        )

    async def _agree_on_version(self) -> str:
        """The newest version both sides know; a device that does not say is taken to know the oldest of ours."""
        answer = await self._http.request("GET", "/rest/api/supportedversions")
        if answer.status == 426:
            raise self.refused(answer, "the connection")
        if answer.status != 200:
            return self._versions[-1]
        offered = {*answer.envelope.anywhere("version"), *answer.envelope.anywhere("latestVersion")}
        chosen = next((v for v in self._versions if v in offered), None)
        if chosen is None:
            raise Rejected(
                f"device at {self.address} speaks REST {', '.join(sorted(offered)) or 'in no version it names'}; "
                f"this driver speaks {', '.join(self._versions)}"
            )
        return chosen

    # --------------------------------------------------------------------------------------- requests

    async def get(self, path: str, params: Params = ()) -> Answer:
        """Read; a token the device has forgotten is replaced once. Raises Rejected unless the answer is 200."""
        return await self._read(self._url(path), params, path)

    async def send(
        self, method: str, path: str, send_before: float, params: Params = (), body: bytes | None = None
    ) -> Answer:
        """Write, once; whatever the device answers is returned."""
        return await self.send_as(self._token, method, path, send_before, params, body)

    async def send_as(
        self, token: str, method: str, path: str, send_before: float, params: Params = (), body: bytes | None = None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/xml"
        return await self._http.request(
            method, self._url(path), params=params, headers=headers, body=body, send_before=send_before
        )

    async def role(self) -> str:
        """active, standby, standalone, ...: in the device's words, lower case."""
        self.known_role = (await self.get("system/status")).envelope.value("role").lower()
        return self.known_role

    async def pages(
        self, device_type: str, *, running: bool, keep: Callable[[], Awaitable[None]], keys: Params = ()
    ) -> AsyncGenerator[Envelope, None]:
        """Elements of a type, all or those with the given key values, a page at a time along the device's own links.

        None at all reads as 404. While a page is being looked at, the next one is on its way. `keep` is awaited before
        each request.
        """
        params = [("elementType", device_type), *keys, ("maxElements", str(PAGE))]
        if running:
            params.append(("running", "true"))
        try:
            answer = await self.get("configuration/configElements", params)
        except Rejected as refusal:
            if refusal.facts.get("status") == 404:
                return
            raise
        seen: set[str] = set()
        while (following := next(iter(answer.envelope.links), None)) is not None:
            if following in seen or len(seen) >= MAX_PAGES:
                raise Rejected(f"the device's pages of {device_type} have no end")
            seen.add(following)
            url = self._own_link(following)
            await keep()
            coming = asyncio.create_task(self._read(url, (), f"the next page of {device_type}"))
            try:
                yield answer.envelope
                answer = await coming
            finally:
                if not coming.done():
                    coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
        yield answer.envelope

    async def job_end(self, accepted: Answer, deadline: float, keep: Callable[[], Awaitable[None]]) -> JobState:
        """Poll a job, ever more slowly, until it has ended. Raises Unreachable when its end is not known in time.

        `keep` renews the token, when that is due.
        """
        link = next(iter(accepted.envelope.links), None)
        if link is None:
            raise Unreachable(f"device at {self.address} began the work, and does not say where to ask how it goes")
        return await self._polled(self._own_link(link), deadline, keep)

    async def idle(self, deadline: float, keep: Callable[[], Awaitable[None]]) -> None:
        """Wait until no job is at work, such as one that was begun and whose answer was lost. Raises Unreachable."""
        with suppress(Rejected):  # it has never had a job
            await self._polled(self._url(JOB_PATH), deadline, keep)

    async def _polled(self, url: str, deadline: float, keep: Callable[[], Awaitable[None]]) -> JobState:
        wait_s, failures = POLL_FIRST_S, 0
        while True:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * POLL_GROWTH, POLL_MAX_S)
            try:
                if self._token and self.due:
                    await keep()
                state = (await self._read(url, (), "the question how its work goes")).envelope.job()
                failures = 0
            except Unreachable:
                failures += 1
                if failures >= POLL_FAILURES or time.monotonic() > deadline:
                    raise
                continue
            if state.status.lower() not in _RUNNING:
                return state
            if time.monotonic() > deadline:
                raise Unreachable(f"device at {self.address} is still at work and did not end it in time")

    async def _read(self, url: str, params: Params, what: str) -> Answer:
        answer = await self._get(url, params)
        if answer.status == 401:
            await self.log_in()
            answer = await self._get(url, params)
        if answer.status != 200:
            raise self.refused(answer, what)
        return answer

    async def _get(self, url: str, params: Params) -> Answer:
        return await self._http.request("GET", url, params=params, headers={"Authorization": f"Bearer {self._token}"})

    def _url(self, path: str) -> str:
        return f"/rest/{self.version}/{path}"

    def _own_link(self, link: str) -> str:
        """The path and query of a link; where it says the host is, it need not know how we reach it."""
        parts = urlsplit(link)
        if not parts.path.startswith("/rest/"):
            raise Rejected("the device gave a link that leads out of its REST API")
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def refused(self, answer: Answer, what: str, hide: Collection[str] = ()) -> Rejected:
        return refused(answer, what, {self._credentials.password, self._token, *hide})

    async def close(self) -> None:
        """End the connection. The API knows no logout: the token lives on at the device until its time is over."""
        await self._http.close()
