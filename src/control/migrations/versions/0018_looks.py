"""when the end of what is pending is looked for, and how long kept objects are known"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("kept_objects", sa.Column("look_time", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE kept_objects SET look_time = now() WHERE pending_record IS NOT NULL")
    op.create_index(
        "kept_objects_by_look_time",
        "kept_objects",
        ["look_time"],
        unique=False,
        postgresql_where=sa.text("look_time IS NOT NULL"),
    )
    op.create_index(
        "kept_objects_by_create_time",
        "kept_objects",
        ["create_time"],
        unique=False,
        postgresql_where=sa.text("expire_time IS NULL"),
    )
