-- The vendor register in PostgreSQL, version 1. Several gates share it.

CREATE TABLE register_revision (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);
INSERT INTO register_revision VALUES (1, 0);

CREATE TABLE vendor (
    address       TEXT   COLLATE "C" PRIMARY KEY,
    registered    BIGINT NOT NULL,
    first_us      BIGINT NOT NULL,
    last_us       BIGINT NOT NULL,
    messages      BIGINT NOT NULL,
    organisations TEXT   COLLATE "C" NOT NULL,
    revision      BIGINT NOT NULL
);
CREATE INDEX vendor_by_revision ON vendor (revision);

CREATE TABLE newcomer_hour (
    scope     TEXT   COLLATE "C" PRIMARY KEY,
    hour      BIGINT NOT NULL,
    is_flood  BIGINT NOT NULL,
    addresses TEXT   COLLATE "C" NOT NULL,
    revision  BIGINT NOT NULL
);
