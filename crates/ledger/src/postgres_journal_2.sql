-- The gate journal in PostgreSQL, version 2: decisions in pages, each written and deleted as a whole; a line of JSON
-- a decision. `first` is the number of its first decision, counted from 1 since there is a journal.
SET LOCAL statement_timeout = 0;
CREATE TABLE decision_page (
    first     BIGINT PRIMARY KEY CHECK (first > 0),
    oldest_us BIGINT NOT NULL,
    lines     TEXT   COLLATE "C" NOT NULL
);
CREATE INDEX decision_page_by_age ON decision_page (oldest_us);

-- The references of the decisions of a page, 12 characters each: small, to be read through.
CREATE TABLE decision_page_references (
    first BIGINT PRIMARY KEY,
    refs  TEXT   COLLATE "C" NOT NULL
);

-- How many decisions there have ever been.
CREATE TABLE decision_total (
    id    BIGINT PRIMARY KEY CHECK (id = 0),
    total BIGINT NOT NULL
);
INSERT INTO decision_total (id, total) SELECT 0, coalesce(max(seq), 0) FROM decision;

INSERT INTO decision_page (first, oldest_us, lines)
SELECT min(seq), min(at_us), string_agg(replace(json_build_object('reference', reference, 'at_us', at_us, 'rule', rule,
    'verdict', verdict, 'recipient', recipient, 'envelope_sender', envelope_sender, 'header_from', header_from,
    'client', client, 'queue_id', queue_id, 'detail', detail::json)::text, E'\n', ' '), E'\n' ORDER BY seq)
FROM decision GROUP BY seq / 500;
INSERT INTO decision_page_references (first, refs)
SELECT min(seq), string_agg(reference, '' ORDER BY seq) FROM decision GROUP BY seq / 500;
DROP TABLE decision;
