"""The tables of queue.db: the machine's whole state, which a user can read with `sqlite3` too.

All columns of the queue's full semantics are here from the start, so that nothing has to be
migrated when the rest of it is built. Times are cluster time in milliseconds UTC, but for
lease_until_ms and lease_cap_ms, which are lease time: cluster time less applied.lease_gap_ms.
Every write to these tables goes through book.py; reader.py reads them for people and workers.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

FORMAT: Final = 7
"""The version of these tables. A file with another one is refused: queue_store.py says what to do."""

KIND_DEADLINE: Final = 1
KIND_COMES_DUE: Final = 2
KIND_CASCADE: Final = 3
KIND_KEY: Final = 4
"""What a row of `due` stands for. Kind 0 is a lease's end, which is kept with the job."""

TABLES: Final = """
CREATE TABLE applied (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    machine_version INTEGER NOT NULL DEFAULT 1,
    cluster_id TEXT NOT NULL,
    node_id INTEGER NOT NULL,
    applied_index INTEGER NOT NULL DEFAULT 0,
    applied_term INTEGER NOT NULL DEFAULT 0,
    configuration TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '',
    now_ms INTEGER NOT NULL DEFAULT 0,
    lease_gap_ms INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    queue TEXT NOT NULL,
    task TEXT NOT NULL,
    priority INTEGER NOT NULL,
    submitted_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,             -- when it comes, or came, due
    max_attempts INTEGER NOT NULL,      -- as submitted
    attempts_allowed INTEGER,           -- since it was last retried by hand, where others than max_attempts
    timeout_ms INTEGER,
    lease_ms INTEGER,
    backoff_base_ms INTEGER,
    backoff_factor INTEGER,             -- thousandths
    backoff_cap_ms INTEGER,
    backoff_delays TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,         -- the number of times it was taken
    failures INTEGER NOT NULL DEFAULT 0,        -- the attempts that count, since a retry by hand
    never_started INTEGER NOT NULL DEFAULT 0,   -- in a row
    releases INTEGER NOT NULL DEFAULT 0,        -- in a row
    token INTEGER NOT NULL DEFAULT 0,           -- of the last lease
    worker TEXT,                                -- of the last lease
    taken_ms INTEGER,
    lease_until_ms INTEGER,                     -- lease time
    lease_cap_ms INTEGER,                       -- lease time: no lease goes beyond it
    started INTEGER NOT NULL DEFAULT 0,         -- 1 once this attempt was extended
    fraction INTEGER,                           -- thousandths done
    note TEXT,
    cancel_requested_ms INTEGER,
    error TEXT,
    finished_ms INTEGER,
    prune_ms INTEGER,                           -- when it may go, once it is finished
    history_n INTEGER NOT NULL DEFAULT 1,       -- the number of its last row in history
    key TEXT,
    unique_for_ms INTEGER,
    partition TEXT,
    deadline_ms INTEGER,                        -- no attempt starts from then on
    tags TEXT,
    retention_ms INTEGER,
    size INTEGER NOT NULL,                      -- characters of its arguments' JSON
    on_dead TEXT,
    batch TEXT,
    waits_for INTEGER NOT NULL DEFAULT 0,       -- jobs that it comes after and that are not done
    delay_ms INTEGER,                           -- of a job that waits: from when the last of them is done
    linked INTEGER NOT NULL DEFAULT 0,          -- 1 once it is in the table of dependencies
    brings_back INTEGER NOT NULL DEFAULT 0,     -- 1: jobs that were cancelled because of it are to run again
    on_dependency TEXT,
    unknown_since_ms INTEGER
);
CREATE INDEX jobs_by_state ON jobs (state, queue, id);
CREATE INDEX jobs_by_task ON jobs (task, id);
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, id) WHERE state = 'ready';
CREATE INDEX jobs_to_prune ON jobs (prune_ms, id) WHERE prune_ms IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (state, queue, finished_ms, id) WHERE prune_ms IS NOT NULL;
CREATE INDEX jobs_leased ON jobs (lease_until_ms, id) WHERE state = 'running';

CREATE TABLE arguments (
    job INTEGER PRIMARY KEY,
    args TEXT NOT NULL,
    kwargs TEXT NOT NULL
);

CREATE TABLE results (
    job INTEGER PRIMARY KEY,
    result TEXT NOT NULL
);

CREATE TABLE history (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    event TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    token INTEGER NOT NULL,
    worker TEXT,
    error TEXT,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;

CREATE TABLE tracebacks (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    traceback TEXT NOT NULL,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;

CREATE TABLE keys (
    queue TEXT NOT NULL,
    key TEXT NOT NULL,
    job INTEGER NOT NULL,               -- which may be pruned already
    free_ms INTEGER,                    -- once the job is finished
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX keys_of_jobs ON keys (job);

CREATE TABLE dependencies (
    after INTEGER NOT NULL,             -- the earlier job, which may be pruned once no unfinished one needs it
    job INTEGER NOT NULL,               -- the one that comes after it
    status INTEGER NOT NULL,            -- see dependencies.py
    held INTEGER NOT NULL DEFAULT 1,    -- 0 once the later job is finished
    PRIMARY KEY (after, job)
) WITHOUT ROWID;
CREATE INDEX dependencies_of_jobs ON dependencies (job, after);
CREATE INDEX dependencies_by_status ON dependencies (after, status, job);
CREATE INDEX dependencies_held ON dependencies (after) WHERE held = 1;
CREATE INDEX dependencies_holding ON dependencies (job, after) WHERE held = 1;

CREATE TABLE due (
    at_ms INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (at_ms, kind, id)
) WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    used_ms INTEGER NOT NULL,
    low INTEGER NOT NULL,
    check_ms INTEGER NOT NULL           -- when to look whether it was used since
) WITHOUT ROWID;
CREATE INDEX sessions_to_check ON sessions (check_ms, id);

CREATE TABLE answers (
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;

CREATE TABLE queues (
    queue TEXT PRIMARY KEY,             -- only those that have settings: see settings.py
    paused INTEGER NOT NULL,
    max_running INTEGER,
    starts INTEGER,                     -- the rate: so many in per_ms
    per_ms INTEGER NOT NULL,
    tokens INTEGER NOT NULL,            -- thousandths, at tokens_ms
    tokens_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,           -- the log index of the command that set it
    every_ms INTEGER,
    cron TEXT,
    zone TEXT,
    overlap TEXT NOT NULL,
    catch_up TEXT NOT NULL,
    job TEXT NOT NULL,                  -- what it submits, as an item of Submit
    due_ms INTEGER,                     -- when it fires next; of a line whose times are over, never
    last_job INTEGER,                   -- which may be pruned already
    history_n INTEGER NOT NULL          -- the number of its last row in firings
) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (due_ms, name) WHERE due_ms IS NOT NULL;

CREATE TABLE firings (
    schedule TEXT NOT NULL,
    n INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    due_ms INTEGER,                     -- NULL where it was run by hand
    event TEXT NOT NULL,                -- see schedules.py
    job INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (schedule, n)
) WITHOUT ROWID;

CREATE TABLE counts (
    queue TEXT NOT NULL,
    what TEXT NOT NULL,                 -- a state, or one of counts.TOTALS
    n INTEGER NOT NULL,
    PRIMARY KEY (queue, what)
) WITHOUT ROWID;
"""

WRITES: Final[Mapping[str, str]] = {
    "plain job": "INSERT INTO jobs (id, state, queue, task, priority, submitted_ms, at_ms, max_attempts,"
    " timeout_ms, lease_ms, backoff_base_ms, backoff_factor, backoff_cap_ms, size)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "job": "INSERT INTO jobs (id, state, queue, task, priority, submitted_ms, at_ms, max_attempts,"
    " timeout_ms, lease_ms, backoff_base_ms, backoff_factor, backoff_cap_ms, size, deadline_ms, retention_ms,"
    " key, unique_for_ms, waits_for, delay_ms, linked,"
    " on_dependency) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "job arguments": "INSERT INTO arguments (job, args, kwargs) VALUES (?,?,?)",
    "job ready": "UPDATE jobs SET state = 'ready', history_n = ? WHERE id = ?",
    "job taken": "UPDATE jobs SET state = 'running', token = ?, worker = ?, attempt = ?, taken_ms = ?,"
    " lease_until_ms = ?, lease_cap_ms = ?, started = 0, fraction = NULL, note = NULL, history_n = ?"
    " WHERE id = ?",
    "job extended": "UPDATE jobs SET lease_until_ms = ?, started = 1, never_started = 0,"
    " fraction = coalesce(?, fraction), note = coalesce(?, note) WHERE id = ?",
    "job ended": "UPDATE jobs SET state = ?, at_ms = ?, failures = ?, never_started = ?, releases = ?,"
    " error = coalesce(?, error), finished_ms = ?, prune_ms = ?, lease_until_ms = NULL,"
    " lease_cap_ms = NULL, history_n = ? WHERE id = ?",
    "job told to stop": "UPDATE jobs SET cancel_requested_ms = ?, lease_until_ms = ?, lease_cap_ms = ?,"
    " history_n = ? WHERE id = ?",
    "job will not run": "UPDATE jobs SET state = ?, error = coalesce(?, error), finished_ms = ?, prune_ms = ?,"
    " history_n = ? WHERE id = ?",
    "job retried": "UPDATE jobs SET state = ?, at_ms = ?, attempts_allowed = ?, waits_for = ?, brings_back = ?,"
    " failures = 0, never_started = 0, releases = 0, cancel_requested_ms = NULL, deadline_ms = ?,"
    " finished_ms = NULL, prune_ms = NULL, history_n = ? WHERE id = ?",
    "job changed": "UPDATE jobs SET state = ?, queue = ?, priority = coalesce(?, priority), at_ms = ?, size = ?,"
    " history_n = ? WHERE id = ?",
    "arguments changed": "UPDATE arguments SET args = coalesce(?, args), kwargs = coalesce(?, kwargs) WHERE job = ?",
    "key": "INSERT INTO keys (queue, key, job, free_ms) VALUES (?,?,?,?)",
    "key free at": "UPDATE keys SET free_ms = ? WHERE queue = ? AND key = ?",
    "key gone": "DELETE FROM keys WHERE queue = ? AND key = ?",
    "job linked": "UPDATE jobs SET linked = 1 WHERE id = ?",
    "job waits until": "UPDATE jobs SET delay_ms = NULL WHERE id = ?",
    "job waits for": "UPDATE jobs SET waits_for = ? WHERE id = ?",
    "job waits no more": "UPDATE jobs SET state = ?, at_ms = ?, waits_for = 0, history_n = ? WHERE id = ?",
    "job kept": "UPDATE jobs SET prune_ms = NULL WHERE id = ?",
    "job may be pruned": "UPDATE jobs SET prune_ms = ? WHERE id = ?",
    "dependency": "INSERT INTO dependencies (after, job, status) VALUES (?,?,?)",
    "dependency counted": "UPDATE dependencies SET status = ? WHERE after = ? AND job = ?",
    "dependency again": "UPDATE dependencies SET status = ?, held = 1 WHERE after = ? AND job = ?",
    "dependency let go": "UPDATE dependencies SET held = 0 WHERE after = ? AND job = ?",
    "dependencies gone": "DELETE FROM dependencies WHERE job = ?",
    "queue": "INSERT INTO queues (queue, paused, max_running, starts, per_ms, tokens, tokens_ms)"
    " VALUES (?,?,?,?,?,?,?)",
    "queue gone": "DELETE FROM queues WHERE queue = ?",
    "schedule": "INSERT INTO schedules (name, version, every_ms, cron, zone, overlap, catch_up, job, due_ms,"
    " last_job, history_n) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
    "schedule due": "UPDATE schedules SET due_ms = ? WHERE name = ?",
    "schedule noted": "UPDATE schedules SET history_n = ?, last_job = ? WHERE name = ?",
    "schedule gone": "DELETE FROM schedules WHERE name = ?",
    "firing": "INSERT INTO firings (schedule, n, ms, due_ms, event, job, reason) VALUES (?,?,?,?,?,?,?)",
    "firings cut": "DELETE FROM firings WHERE schedule = ? AND n <= ?",
    "firings gone": "DELETE FROM firings WHERE schedule = ?",
    "job gone": "DELETE FROM jobs WHERE id = ?",
    "arguments gone": "DELETE FROM arguments WHERE job = ?",
    "result gone": "DELETE FROM results WHERE job = ?",
    "history gone": "DELETE FROM history WHERE job = ?",
    "tracebacks gone": "DELETE FROM tracebacks WHERE job = ?",
    "job result": "INSERT INTO results (job, result) VALUES (?,?)",
    "history": "INSERT INTO history (job, n, ms, event, before, after, attempt, token, worker, error)"
    " VALUES (?,?,?,?,?,?,?,?,?,?)",
    "history cut": "DELETE FROM history WHERE job = ? AND n <= ?",
    "traceback": "INSERT INTO tracebacks (job, n, traceback) VALUES (?,?,?)",
    "tracebacks cut": "DELETE FROM tracebacks WHERE job = ? AND n <= ?",
    "due": "INSERT OR IGNORE INTO due (at_ms, kind, id) VALUES (?,?,?)",
    "due done": "DELETE FROM due WHERE at_ms = ? AND kind = ? AND id = ?",
    "session": "INSERT INTO sessions (id, used_ms, low, check_ms) VALUES (?,?,?,?)",
    "session used": "UPDATE sessions SET used_ms = ?, low = ? WHERE id = ?",
    "session checked": "UPDATE sessions SET check_ms = ? WHERE id = ?",
    "session expired": "DELETE FROM sessions WHERE id = ?",
    "answer": "INSERT INTO answers (session, number, answer) VALUES (?,?,?)",
    "answers below": "DELETE FROM answers WHERE session = ? AND number < ?",
    "answers of": "DELETE FROM answers WHERE session = ?",
}
"""Every statement with which a command may change the tables, by the name that the digest records."""


def create(connection: sqlite3.Connection, cluster_id: str = "", node_id: int = 0) -> None:
    """Makes the tables of an empty queue. The caller opens and commits the transaction, if it wants one."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(
        "INSERT INTO applied (one, format, cluster_id, node_id) VALUES (1, ?, ?, ?)",
        (FORMAT, cluster_id, node_id),
    )
