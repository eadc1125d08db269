-- The gate journal, version 1.
PRAGMA application_id = 1297565514;
PRAGMA user_version = 1;

CREATE TABLE decision (
    seq             INTEGER PRIMARY KEY NOT NULL,
    reference       TEXT    NOT NULL UNIQUE,
    at_us           INTEGER NOT NULL,
    rule            TEXT    NOT NULL,
    verdict         TEXT    NOT NULL,
    recipient       TEXT,
    envelope_sender TEXT,
    header_from     TEXT,
    client          TEXT,
    queue_id        TEXT,
    detail          TEXT    NOT NULL
) STRICT;
CREATE INDEX decision_by_at ON decision (at_us);
