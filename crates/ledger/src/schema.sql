-- The ledger, version 1.
PRAGMA application_id = 1297566791;
PRAGMA user_version = 1;

-- One row for each entry. `leaf` is what was hashed, byte for byte; kind, at_us and subject are copies of
-- what stands in it or in the detail, kept for queries and compared by verification.
CREATE TABLE ledger_entry (
    leaf_index INTEGER PRIMARY KEY NOT NULL CHECK (leaf_index >= 0),
    leaf       TEXT    NOT NULL,
    leaf_hash  BLOB    NOT NULL CHECK (length(leaf_hash) = 32),
    kind       TEXT    NOT NULL,
    at_us      INTEGER NOT NULL,
    subject    TEXT
) STRICT;
CREATE INDEX ledger_entry_by_kind ON ledger_entry (kind);
CREATE INDEX ledger_entry_by_at ON ledger_entry (at_us);
CREATE INDEX ledger_entry_by_subject ON ledger_entry (subject) WHERE subject IS NOT NULL;

-- These stop a slip of the hand, not somebody who means it: that is what checkpoints are for.
CREATE TRIGGER ledger_entry_is_not_deleted BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_entry_is_not_changed 
BEFORE UPDATE OF leaf_index, leaf, leaf_hash, kind, at_us ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- What a commitment in a leaf commits to; a missing row was erased, and an entry of kind ledger.erased says
-- by whom.
CREATE TABLE ledger_detail (
    leaf_index INTEGER PRIMARY KEY NOT NULL REFERENCES ledger_entry (leaf_index),
    salt       BLOB NOT NULL CHECK (length(salt) = 32),
    detail     TEXT NOT NULL
) STRICT;

-- Roots of perfect subtrees of 2^8, 2^16, 2^24 ... leaves.
CREATE TABLE ledger_subtree (
    height   INTEGER NOT NULL CHECK (height > 0),
    position INTEGER NOT NULL CHECK (position >= 0),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (height, position)
) STRICT, WITHOUT ROWID;

-- The right edge of the tree: all that appending needs to know.
CREATE TABLE ledger_head (
    id       INTEGER PRIMARY KEY NOT NULL CHECK (id = 0),
    size     INTEGER NOT NULL CHECK (size >= 0),
    frontier BLOB    NOT NULL
) STRICT;
INSERT INTO ledger_head (id, size, frontier) VALUES (0, 0, x'');

-- Signed notes, kept so that the next one can be checked to go on from them.
CREATE TABLE ledger_checkpoint (
    size INTEGER NOT NULL CHECK (size >= 0),
    note TEXT    NOT NULL,
    UNIQUE (size, note)
) STRICT;

-- Refusals per hour (hours since 1970), rule and policy object; `entered` of them are in an entry already.
CREATE TABLE refusal_sums (
    hour     INTEGER NOT NULL,
    rule     TEXT    NOT NULL,
    object   TEXT    NOT NULL,
    refusals INTEGER NOT NULL,
    entered  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, rule, object)
) STRICT, WITHOUT ROWID;
