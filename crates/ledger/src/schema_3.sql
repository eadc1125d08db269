-- The ledger, version 3: what a commitment in a leaf commits to stands in the row of its entry. Where it was
-- erased, an entry of kind ledger.erased says by whom.
ALTER TABLE ledger_entry ADD COLUMN salt BLOB CHECK (length(salt) = 32);
ALTER TABLE ledger_entry ADD COLUMN detail TEXT CHECK ((detail IS NULL) = (salt IS NULL));
UPDATE ledger_entry SET salt = old.salt, detail = old.detail
FROM ledger_detail AS old WHERE old.leaf_index = ledger_entry.leaf_index;
DROP TABLE ledger_detail;

PRAGMA user_version = 3;
