"""Databases that are set up already: migrated once for each test process, then copied. Migrating has its own tests."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from opensdm.stores.schema import migrate

_PREFIX = "sqlite:///"
_template: Path | None = None


async def set_up(url: str) -> None:
    """Bring a database to the newest schema, a new SQLite file by copying one that was brought there before."""
    if _is_new_file(url):
        shutil.copyfile(await _migrated(), url.removeprefix(_PREFIX))
    else:
        await migrate(url)


def _is_new_file(url: str) -> bool:
    return url.startswith(_PREFIX) and not Path(url.removeprefix(_PREFIX)).exists()


async def _migrated() -> Path:
    global _template
    if _template is None:
        directory = Path(tempfile.mkdtemp(prefix="opensdm-template-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        await migrate(f"{_PREFIX}{directory}/opensdm.db")
        _template = directory / "opensdm.db"
    return _template
