-- The gate journal, version 2: decisions in pages, each written and deleted as a whole; a line of JSON a decision.
-- `first` is the number of its first decision, counted from 1 since there is a journal.
CREATE TABLE decision_page (
    first     INTEGER PRIMARY KEY NOT NULL CHECK (first > 0),
    oldest_us INTEGER NOT NULL,
    lines     TEXT    NOT NULL
) STRICT;
CREATE INDEX decision_page_by_age ON decision_page (oldest_us);

-- The references of the decisions of a page, 12 characters each: small, to be read through.
CREATE TABLE decision_page_references (
    first INTEGER PRIMARY KEY NOT NULL,
    refs  TEXT    NOT NULL
) STRICT;

-- How many decisions there have ever been.
CREATE TABLE decision_total (
    id    INTEGER PRIMARY KEY NOT NULL CHECK (id = 0),
    total INTEGER NOT NULL
) STRICT;
INSERT INTO decision_total (id, total) SELECT 0, coalesce(max(seq), 0) FROM decision;

INSERT INTO decision_page (first, oldest_us, lines)
SELECT min(seq), min(at_us), group_concat(json_object('reference', reference, 'at_us', at_us, 'rule', rule,
    'verdict', verdict, 'recipient', recipient, 'envelope_sender', envelope_sender, 'header_from', header_from,
    'client', client, 'queue_id', queue_id, 'detail', json(detail)), char(10) ORDER BY seq)
FROM decision GROUP BY seq / 500;
INSERT INTO decision_page_references (first, refs)
SELECT min(seq), group_concat(reference, '' ORDER BY seq) FROM decision GROUP BY seq / 500;
DROP TABLE decision;

PRAGMA user_version = 2;
