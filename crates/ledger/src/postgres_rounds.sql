-- Rounds that several sweepers make together, in PostgreSQL, version 1.

CREATE TABLE shared_run (
    run   TEXT COLLATE "C" PRIMARY KEY,
    begun TIMESTAMPTZ NOT NULL DEFAULT now(),
    head  TEXT COLLATE "C" NOT NULL,
    asked TEXT COLLATE "C" NOT NULL
);

CREATE TABLE shared_mailbox (
    run     TEXT COLLATE "C" NOT NULL REFERENCES shared_run ON DELETE CASCADE,
    mailbox TEXT COLLATE "C" NOT NULL,
    -- What was seen; NULL until somebody has looked.
    seen    TEXT COLLATE "C",
    PRIMARY KEY (run, mailbox)
);
CREATE INDEX shared_mailbox_left ON shared_mailbox (run, mailbox) WHERE seen IS NULL;
