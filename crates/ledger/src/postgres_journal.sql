-- The gate journal in PostgreSQL, version 1. Several gates write to it side by side.

CREATE TABLE decision (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference       TEXT   COLLATE "C" NOT NULL UNIQUE,
    at_us           BIGINT NOT NULL,
    rule            TEXT   COLLATE "C" NOT NULL,
    verdict         TEXT   COLLATE "C" NOT NULL,
    recipient       TEXT   COLLATE "C",
    envelope_sender TEXT   COLLATE "C",
    header_from     TEXT   COLLATE "C",
    client          TEXT   COLLATE "C",
    queue_id        TEXT   COLLATE "C",
    detail          TEXT   COLLATE "C" NOT NULL
);
CREATE INDEX decision_by_at ON decision (at_us);
