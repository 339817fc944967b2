"""A PostgreSQL with rows that cannot be made again, only restored."""

from support import OBJECTS, apply, kubectl, wait_until_ready

ROWS = 100_000
# Random, so that the sum proves a restore; checkpointed, so that the files on disk are whole.
FILL = f"""create table orders as select id, md5(random()::text) as note from generate_series(1, {ROWS}) as id;
checkpoint"""
SUM = "select count(*), md5(string_agg(id || note, ',' order by id)) from orders"


def query(space: str, text: str) -> str:
    return kubectl("-n", space, "exec", "db-0", "-c", "postgres", "--", "psql", "-X", "-U", "postgres", "-v",
                   "ON_ERROR_STOP=1", "-tAc", text).strip()


def start(space: str) -> str:
    """Gives rows and sum, as 'count|md5'."""
    apply(space, OBJECTS / "postgres.yaml")
    wait_until_ready(space, "statefulset/db")
    for statement in FILL.split(";"):
        query(space, statement)
    return content(space)


def content(space: str) -> str:
    wait_until_ready(space, "statefulset/db")
    return query(space, SUM)
