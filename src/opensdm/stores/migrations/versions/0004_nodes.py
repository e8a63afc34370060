"""Many nodes: where each runs from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("node", sa.Column("home", sa.Text(), server_default=sa.text("''"), nullable=False))
