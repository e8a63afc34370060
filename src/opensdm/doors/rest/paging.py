"""`pageInfo`, which stands first in every list that has it."""

from __future__ import annotations

from opensdm.doors.rest.fields import Child, Int
from opensdm.doors.rest.shapes import Shape

PAGE_INFO = Shape("pageInfo", Int("limitation"), Int("numberOfElements"), Int("offset"), Int("total", own=True))

PUBLISHED_PAGE = (Child("pageInfo", PAGE_INFO),)
"""For lists whose published schema has it."""
LATER_PAGE = (Child("pageInfo", PAGE_INFO, own=True),)
"""For the other lists: they have it from version 1.4 on."""
