-- The vendor register, version 3: rows are read again by those that share them.
PRAGMA user_version = 3;

CREATE TABLE register_revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO register_revision VALUES (1, 0);

ALTER TABLE vendor ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX vendor_by_revision ON vendor (revision);

ALTER TABLE newcomer_hour ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
