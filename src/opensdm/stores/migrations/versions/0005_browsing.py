"""Devices by name, with all that words are looked for in: lists for people answer from this index alone."""

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = (
    "device_name", "device_id", "address", "platform", "software_version", "serial_number", "nf_id", "group_id"
)  # fmt: skip


def upgrade() -> None:
    op.create_index("device_by_name", "device", list(COLUMNS))
