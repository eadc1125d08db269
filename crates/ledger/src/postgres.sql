-- The ledger in PostgreSQL, version 1: the tables of the SQLite ledger, version 2. Texts compare by their
-- bytes (COLLATE "C"), as in SQLite, whatever the collation of the database is.

CREATE TABLE ledger_entry (
    leaf_index BIGINT PRIMARY KEY CHECK (leaf_index >= 0),
    leaf       TEXT   COLLATE "C" NOT NULL,
    leaf_hash  BYTEA  NOT NULL CHECK (length(leaf_hash) = 32),
    kind       TEXT   COLLATE "C" NOT NULL,
    at_us      BIGINT NOT NULL,
    subject    TEXT   COLLATE "C",
    case_id    TEXT   COLLATE "C"
);
CREATE INDEX ledger_entry_by_kind ON ledger_entry (kind);
CREATE INDEX ledger_entry_by_at ON ledger_entry (at_us);
CREATE INDEX ledger_entry_by_subject ON ledger_entry (subject) WHERE subject IS NOT NULL;
CREATE INDEX ledger_entry_by_case ON ledger_entry (case_id, leaf_index) WHERE case_id IS NOT NULL;

-- This stops a slip of the hand, not somebody who means it: that is what checkpoints are for.
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE TRIGGER ledger_entry_is_not_deleted BEFORE DELETE OR TRUNCATE ON ledger_entry
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_entry_is_not_changed
BEFORE UPDATE OF leaf_index, leaf, leaf_hash, kind, at_us, case_id ON ledger_entry
FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

-- What a commitment in a leaf commits to; a missing row was erased, and an entry of kind ledger.erased says
-- by whom.
CREATE TABLE ledger_detail (
    leaf_index BIGINT PRIMARY KEY REFERENCES ledger_entry (leaf_index),
    salt       BYTEA  NOT NULL CHECK (length(salt) = 32),
    detail     TEXT   COLLATE "C" NOT NULL
);

-- Roots of perfect subtrees of 2^8, 2^16, 2^24 ... leaves.
CREATE TABLE ledger_subtree (
    height   BIGINT NOT NULL CHECK (height > 0),
    position BIGINT NOT NULL CHECK (position >= 0),
    hash     BYTEA  NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (height, position)
);

-- The right edge of the tree: all that appending needs to know. Its only row is the lock of all writers.
CREATE TABLE ledger_head (
    id       BIGINT PRIMARY KEY CHECK (id = 0),
    size     BIGINT NOT NULL CHECK (size >= 0),
    frontier BYTEA  NOT NULL
);
INSERT INTO ledger_head (id, size, frontier) VALUES (0, 0, '');

-- Signed notes, kept so that the next one can be checked to go on from them.
CREATE TABLE ledger_checkpoint (
    size BIGINT NOT NULL CHECK (size >= 0),
    note TEXT   COLLATE "C" NOT NULL,
    UNIQUE (size, note)
);

-- Refusals per hour (hours since 1970), rule and policy object; `entered` of them are in an entry already.
CREATE TABLE refusal_sums (
    hour     BIGINT NOT NULL,
    rule     TEXT   COLLATE "C" NOT NULL,
    object   TEXT   COLLATE "C" NOT NULL,
    refusals BIGINT NOT NULL,
    entered  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, rule, object)
);
