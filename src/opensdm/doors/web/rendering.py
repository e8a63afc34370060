"""Templates: escaped always, and loud about a name that is not there."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from opensdm.core.identity import Area, Level
from opensdm.doors.web import assets, words
from opensdm.doors.web.navigation import navigation


@cache
def environment() -> Environment:
    """Every template is HTML, so every value is escaped; none is marked safe anywhere."""
    made = Environment(
        loader=PackageLoader("opensdm.doors.web"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters |= {
        "instant": words.instant, "machine_time": words.machine_time, "span": words.span,
        "idle": words.idle, "mark": words.mark, "operation": words.operation, "wire_id": words.ids,
    }  # fmt: skip
    made.globals |= {
        "static": assets.url,
        "counted": words.counted,
        "Area": Area,
        "Level": Level,
        "navigation": navigation,
    }
    return made


def render(template: str, **values: Any) -> str:
    """A page or fragment as text."""
    return environment().get_template(template).render(**values)
