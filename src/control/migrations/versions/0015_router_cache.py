"""how long Cloudflare may keep the answers of a router's requests"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("routers", sa.Column("cache_ttl_s", sa.Integer(), server_default="0", nullable=False))
