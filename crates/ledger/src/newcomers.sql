-- The vendor register, version 2: the new local parts of this hour.
PRAGMA user_version = 2;

CREATE TABLE newcomer_hour (
    scope     TEXT    PRIMARY KEY NOT NULL,
    hour      INTEGER NOT NULL,
    is_flood  INTEGER NOT NULL,
    addresses TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
