"""One transaction and its repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensdm.stores.audit import SqlAudit
from opensdm.stores.configurations import SqlConfigurations
from opensdm.stores.identity import SqlIdentity
from opensdm.stores.inventory import SqlInventory
from opensdm.stores.locks import SqlLocks
from opensdm.stores.nodes import SqlNodes
from opensdm.stores.tasks import SqlTasks

if TYPE_CHECKING:
    from opensdm.stores.database import Connection
    from opensdm.stores.secrets import SecretBox


class StoreTransaction:
    """The `Transaction` of both databases. A repository is three references, so it is made anew each time."""

    __slots__ = ("_connection", "_secrets", "now_us")

    def __init__(self, connection: Connection, now_us: int, secrets: SecretBox) -> None:
        self._connection = connection
        self._secrets = secrets
        self.now_us = now_us

    @property
    def inventory(self) -> SqlInventory:
        return SqlInventory(self._connection, self.now_us, self._secrets)

    @property
    def identity(self) -> SqlIdentity:
        return SqlIdentity(self._connection, self.now_us, self._secrets)

    @property
    def configurations(self) -> SqlConfigurations:
        return SqlConfigurations(self._connection, self.now_us, self._secrets)

    @property
    def tasks(self) -> SqlTasks:
        return SqlTasks(self._connection, self.now_us, self._secrets)

    @property
    def locks(self) -> SqlLocks:
        return SqlLocks(self._connection, self.now_us, self._secrets)

    @property
    def audit(self) -> SqlAudit:
        return SqlAudit(self._connection, self.now_us, self._secrets)

    @property
    def nodes(self) -> SqlNodes:
        return SqlNodes(self._connection, self.now_us, self._secrets)
