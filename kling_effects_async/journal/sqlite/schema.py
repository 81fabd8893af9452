"""The tables of the journal, as the scripts that make them.

A migration is a script; the file's ``user_version`` is how many of them it has seen. A script that
has been released is never edited: add another one.

Times are whole microseconds since 1970 in UTC; units are decimal text, because they are money, and
binary fractions do not add up exactly.
"""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS", "NAMED_SINCE", "NUMBERED_SINCE", "OLD_NAMES", "VERSION"]

# How our files differ from other programs' databases: "KLFE" in ASCII.
APPLICATION_ID = 0x4B4C4645

_COST_TRIGGERS = """
    CREATE TRIGGER cost_of_new AFTER INSERT ON jobs WHEN new.cost IS NOT NULL BEGIN
        INSERT INTO costs VALUES (new.account, new.cost_kind, new.cost, 1)
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    CREATE TRIGGER cost_of_changed AFTER UPDATE ON jobs
        WHEN (old.cost, old.cost_kind, old.account) IS NOT (new.cost, new.cost_kind, new.account)
    BEGIN
        UPDATE costs SET jobs = jobs - 1
            WHERE account = old.account AND kind = old.cost_kind AND units = old.cost;
        INSERT INTO costs SELECT new.account, new.cost_kind, new.cost, 1 WHERE new.cost IS NOT NULL
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
"""


def _cost_kind(uncertain: str) -> str:
    """The column with a job's kind of cost, where the state of a lost answer has this name."""
    return f"""
    ALTER TABLE jobs ADD COLUMN cost_kind TEXT AS (
        CASE WHEN units IS NOT NULL THEN 'told'
             WHEN state IN ('submitting', '{uncertain}') THEN 'unsettled'
             WHEN state = 'accepted' THEN 'running'
             ELSE 'untold' END
    ) VIRTUAL;
"""


# What counts towards a budget; see ``budget`` for the kinds. The sums are kept as numbers of jobs
# by cost, so that they are exact, and cheap however many jobs there are.
_COSTS = f"""
    ALTER TABLE jobs ADD COLUMN expected_units TEXT;
    ALTER TABLE jobs ADD COLUMN earlier_units TEXT;
    ALTER TABLE jobs ADD COLUMN cost TEXT AS (coalesce(units, expected_units)) VIRTUAL;
{_cost_kind("ambiguous")}    WITH typical AS (
        SELECT account, scene, units, max(CAST(units AS REAL)) FROM jobs
        WHERE units IS NOT NULL AND state IN ('succeeded', 'downloaded') GROUP BY account, scene
    )
    UPDATE jobs SET expected_units = coalesce(
        (SELECT t.units FROM typical AS t WHERE (t.account, t.scene) = (jobs.account, jobs.scene)),
        '3.5'
    )
    WHERE units IS NULL AND (
        state IN ('submitting', 'ambiguous', 'accepted', 'succeeded', 'downloaded')
        OR state = 'abandoned' AND (
            task_id IS NOT NULL
            OR EXISTS (
                SELECT 1 FROM transitions AS t
                WHERE t.job = jobs.id AND t.step = jobs.steps - 1 AND t.state = 'ambiguous'
            )
        )
    );
    CREATE TABLE costs (
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        units TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (account, kind, units)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO costs SELECT account, cost_kind, cost, count(*) FROM jobs
        WHERE cost IS NOT NULL GROUP BY account, cost_kind, cost;
    CREATE TRIGGER cost_of_earlier AFTER UPDATE OF account, earlier_units ON jobs BEGIN
        UPDATE costs SET jobs = jobs - 1
            WHERE account = old.account AND kind = 'untold' AND units = old.earlier_units;
        INSERT INTO costs SELECT new.account, 'untold', new.earlier_units, 1
            WHERE new.earlier_units IS NOT NULL ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
{_COST_TRIGGERS}"""

# How many commits there were, and whether some of them are lost. The lease has no heartbeat any
# more: it serves one machine.
_COMMITS = """
    CREATE TABLE commits (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        number INTEGER NOT NULL,
        misses_rows INTEGER NOT NULL
    ) STRICT;
    INSERT INTO commits VALUES (1, 0, 0);
    ALTER TABLE lease DROP COLUMN heartbeat_us;
"""

# Two states got other names. What names them is made anew; see ``_COSTS``.
OLD_NAMES = {"ambiguous", "refused"}
_NAMES = f"""
    DROP TRIGGER cost_of_new;
    DROP TRIGGER cost_of_changed;
    ALTER TABLE jobs DROP COLUMN cost_kind;
    UPDATE jobs SET state = 'uncertain' WHERE state = 'ambiguous';
    UPDATE jobs SET state = 'rejected' WHERE state = 'refused';
    UPDATE transitions SET state = 'uncertain' WHERE state = 'ambiguous';
    UPDATE transitions SET state = 'rejected' WHERE state = 'refused';
{_cost_kind("uncertain")}{_COST_TRIGGERS}"""

# The share of the slots that a job takes its slot from; NULL for that of all jobs without one.
_SHARES = "ALTER TABLE jobs ADD COLUMN share TEXT;"

# What the file of a job's clip is called in ``download_to``, and what its name has in common with
# others that some file system takes for the same; see ``clip_names``.
_CLIP_NAMES = """
    ALTER TABLE jobs ADD COLUMN clip_name TEXT;
    ALTER TABLE jobs ADD COLUMN clip_key TEXT;
    CREATE INDEX jobs_by_clip ON jobs (clip_key, download_to) WHERE clip_key IS NOT NULL;
"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        external_task_id TEXT NOT NULL CHECK (external_task_id <> ''),
        scene TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        effect TEXT NOT NULL,
        run TEXT,
        download_to TEXT,
        callback_url TEXT,
        state TEXT NOT NULL,
        task_id TEXT,
        message TEXT NOT NULL,
        units TEXT,
        result TEXT,
        path TEXT,
        created_us INTEGER NOT NULL,
        updated_us INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        note TEXT NOT NULL,
        UNIQUE (external_task_id, account)
    ) STRICT;
    CREATE INDEX jobs_by_task ON jobs (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX jobs_by_cost ON jobs (account, scene, id, units) WHERE units IS NOT NULL;
    CREATE TABLE transitions (
        job INTEGER NOT NULL REFERENCES jobs (id),
        step INTEGER NOT NULL,
        state TEXT NOT NULL,
        at_us INTEGER NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (job, step)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER first_step AFTER INSERT ON jobs BEGIN
        INSERT INTO transitions VALUES (new.id, new.steps, new.state, new.updated_us, new.note);
    END;
    CREATE TRIGGER next_step AFTER UPDATE OF steps ON jobs BEGIN
        INSERT INTO transitions VALUES (new.id, new.steps, new.state, new.updated_us, new.note);
    END;
    CREATE TABLE memos (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token TEXT NOT NULL,
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        process TEXT NOT NULL,
        since_us INTEGER NOT NULL,
        heartbeat_us INTEGER NOT NULL
    ) STRICT;
    """,
    # Which service the account belongs to, and whether bytes of a submit may have reached it. The
    # trigger on ``steps`` writes no history for this.
    """
    ALTER TABLE jobs ADD COLUMN service TEXT;
    ALTER TABLE jobs ADD COLUMN was_sent INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET was_sent = 1
        WHERE id IN (SELECT job FROM transitions WHERE state = 'submitting');
    """,
    _COSTS,
    _COMMITS,
    _NAMES,
    _SHARES,
    _CLIP_NAMES,
)
VERSION = len(MIGRATIONS)
NUMBERED_SINCE = 1 + MIGRATIONS.index(_COMMITS)
NAMED_SINCE = 1 + MIGRATIONS.index(_NAMES)
