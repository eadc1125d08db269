-- The ledger in PostgreSQL, version 2: what a commitment in a leaf commits to stands in the row of its entry. Where
-- it was erased, an entry of kind ledger.erased says by whom.
SET LOCAL statement_timeout = 0;
ALTER TABLE ledger_entry
    ADD COLUMN salt   BYTEA CHECK (length(salt) = 32),
    ADD COLUMN detail TEXT COLLATE "C",
    ADD CHECK ((detail IS NULL) = (salt IS NULL));
UPDATE ledger_entry SET salt = old.salt, detail = old.detail
FROM ledger_detail AS old WHERE old.leaf_index = ledger_entry.leaf_index;
DROP TABLE ledger_detail;

-- Entries come in the order of their time, but for a few: where a range of them lies needs no tree.
DROP INDEX ledger_entry_by_at;
CREATE INDEX ledger_entry_by_at ON ledger_entry USING brin (at_us) WITH (autosummarize = on);
