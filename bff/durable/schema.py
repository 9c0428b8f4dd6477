"""The tables, in the SQL that SQLite and Postgres share.

Steps are only ever added, and each leaves the tables readable by the version before: columns are added with a default,
nothing is renamed or dropped. A process that finds more steps than it knows works on.
"""

from bff.durable.driver import Tx

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """create table bff_changes (
            id text primary key,
            sku_id text not null,
            caller text not null,
            priority integer not null,
            timeout_seconds double precision not null,
            created_at double precision not null,
            state text not null,
            seq integer not null,
            epoch integer not null default 0,
            worker text,
            started_at double precision,
            touched_at double precision,
            ended_at double precision,
            cancelled integer not null default 0,
            request_id text not null,
            trace_id text not null
        )""",
        # With the state in them, too: without it SQLite's planner takes the index of all states, and sorts.
        "create index bff_changes_pending on bff_changes (state, priority, id) where state = 'pending'",
        "create index bff_changes_waiting on bff_changes (sku_id, state, priority, id) where state = 'pending'",
        # One change at a time for a SKU, whoever claims it.
        "create unique index bff_changes_running on bff_changes (sku_id) where state = 'running'",
        "create index bff_changes_state on bff_changes (state, id)",
        "create index bff_changes_ended on bff_changes (ended_at) where ended_at is not null",
        """create table bff_parts (
            change_id text not null,
            source text not null,
            sent text not null,
            shown text not null,
            standing integer not null default 0,
            number integer not null default 0,
            before_sent text,
            before_shown text,
            etag text,
            undo_in_doubt integer not null default 0,
            undo_number integer not null default 0,
            undo_etag text,
            unsure integer not null default 0,
            primary key (change_id, source)
        )""",
        """create table bff_events (
            subject text not null,
            seq integer not null,
            at double precision not null,
            event text not null,
            step text,
            state text,
            cause text,
            facts text,
            primary key (subject, seq)
        )""",
        """create table bff_keys (
            caller text not null,
            name text not null,
            fingerprint text not null,
            subject text not null,
            created_at double precision not null,
            primary key (caller, name)
        )""",
        "create index bff_keys_created on bff_keys (created_at)",
        "create index bff_keys_subject on bff_keys (subject)",
        """create table bff_reservations (
            id text primary key,
            sku_id text not null,
            caller text not null,
            quantity integer not null,
            state text not null,
            reason text,
            seq integer not null,
            wanted text,
            batch text,
            created_at double precision not null,
            updated_at double precision not null,
            ended_at double precision
        )""",
        """create index bff_reservations_unsent on bff_reservations (sku_id, id)
            where state = 'queued' and batch is null and wanted is null""",
        """create index bff_reservations_queued on bff_reservations (created_at)
            where state = 'queued' and wanted is null""",
        "create index bff_reservations_wanted on bff_reservations (id) where wanted is not null",
        "create index bff_reservations_batch on bff_reservations (batch) where batch is not null",
        "create index bff_reservations_ended on bff_reservations (ended_at) where ended_at is not null",
        """create table bff_batches (
            id text primary key,
            sku_id text not null,
            worker text not null,
            touched_at double precision not null
        )""",
        # One batch at a time for a SKU: what comes meanwhile goes into the next one.
        "create unique index bff_batches_sku on bff_batches (sku_id)",
        "create table bff_counts (name text primary key, count bigint not null)",
        # The second is a lock: who holds its row claims changes.
        "insert into bff_counts values ('queued', 0), ('claims', 0)",
        "create table bff_pace (name text primary key, tokens double precision not null, at double precision not null)",
        "create table bff_workers (id text primary key, boot text not null, beats bigint not null)",
    ),
)


def migrate(tx: Tx) -> None:
    """Take the steps that have not been taken yet."""
    tx.run("create table if not exists bff_schema (step integer primary key)")
    ((done,),) = tx.rows("select count(*) from bff_schema")
    for number, statements in enumerate(STEPS[done:], done):
        for statement in statements:
            tx.run(statement)
        tx.run("insert into bff_schema values (?)", number)
