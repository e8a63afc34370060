"""Lock events name whose lock it was that ended; nodes say which schema their program was made for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
serves = "0005"


def upgrade() -> None:
    op.add_column("lock_event", sa.Column("former_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
    op.add_column("lock_event", sa.Column("former_name", sa.Text()))
    op.add_column("node", sa.Column("program", sa.Text(), server_default=sa.text("''"), nullable=False))
