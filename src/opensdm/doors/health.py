"""What machines ask of the server: whether it lives, whether it can work, and its numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import falcon
import falcon.asgi
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Ready = Callable[[], Awaitable[tuple[str, ...]]]
"""Why the server cannot work, in sentences for people; nothing when it can."""


def add_health_routes(app: falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response], ready: Ready) -> None:
    """`/healthz`, `/readyz` and `/metrics`, without a session: they show no user, no device and no configuration."""
    app.add_route("/healthz", Alive())
    app.add_route("/readyz", Readiness(ready))
    app.add_route("/metrics", Metrics())


class Alive:
    """200 as long as the process answers at all."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "alive\n"

    on_head = on_get


class Readiness:
    """200 when requests can be served, 503 with the reasons when not."""

    def __init__(self, ready: Ready) -> None:
        self._ready = ready

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        reasons = await self._ready()
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "".join(f"{reason}\n" for reason in reasons) or "ready\n"
        if reasons:
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", "2")

    on_head = on_get


class Metrics:
    """The counters and histograms of this process, in the text format of Prometheus."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest()
