"""The doors to the network, put before a gate: REST, SOAP, the web GUI, and what load balancers ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from opensdm.doors.health import add_health_routes
from opensdm.doors.rest.app import App, build_app
from opensdm.doors.rest.settings import RestSettings
from opensdm.doors.soap.app import add_soap_routes
from opensdm.doors.soap.names import load_names
from opensdm.doors.soap.settings import SoapSettings
from opensdm.doors.web.app import add_web_routes
from opensdm.doors.web.settings import WebSettings
from opensdm.gate import Gate
from opensdm.settings import Settings


def build_front(
    settings: Settings, gate: Gate, ready: Callable[[], Awaitable[tuple[str, ...]]], stopping: Callable[[], bool]
) -> App:
    """One application with every door. `ready` answers why requests cannot be served; `stopping` ends streams."""
    rest = settings.rest
    app = build_app(
        gate,
        RestSettings(
            lists=rest.lists,
            max_body_bytes=rest.max_body_bytes,
            public_url=rest.public_url,
            body_timeout_s=rest.body_timeout_s,
            streams_per_session=rest.streams_per_session,
            streams=rest.streams,
        ),
        stopping,
    )
    add_health_routes(app, ready)
    add_soap_routes(app, gate, _soap(settings))
    add_web_routes(app, gate, _web(settings), stopping)
    return app


def _soap(settings: Settings) -> SoapSettings:
    rest, session = settings.rest, settings.session
    return SoapSettings(
        names=load_names(settings.soap.names),
        max_body_bytes=rest.max_body_bytes,
        public_url=rest.public_url,
        body_timeout_s=rest.body_timeout_s,
        poll_interval_s=settings.poll.interval_s,
        admin_idle_s=session.admin_idle_s,
        user_idle_s=session.user_idle_s,
    )


def _web(settings: Settings) -> WebSettings:
    rest = settings.rest
    return WebSettings(
        public_url=rest.public_url,
        max_body_bytes=rest.max_body_bytes,
        body_timeout_s=rest.body_timeout_s,
        banner=settings.web.banner,
    )
