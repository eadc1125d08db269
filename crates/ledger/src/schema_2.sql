-- The ledger, version 2: entries may belong to a case. The leaf says so too; this copy finds them.
ALTER TABLE ledger_entry ADD COLUMN case_id TEXT;
CREATE INDEX ledger_entry_by_case ON ledger_entry (case_id, leaf_index) WHERE case_id IS NOT NULL;

DROP TRIGGER ledger_entry_is_not_changed;
CREATE TRIGGER ledger_entry_is_not_changed
BEFORE UPDATE OF leaf_index, leaf, leaf_hash, kind, at_us, case_id ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

PRAGMA user_version = 2;
