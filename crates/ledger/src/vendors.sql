-- The vendor register, version 1.
PRAGMA application_id = 1297569362;
PRAGMA user_version = 1;

CREATE TABLE vendor (
    address       TEXT    PRIMARY KEY NOT NULL,
    registered    INTEGER NOT NULL,
    first_us      INTEGER NOT NULL,
    last_us       INTEGER NOT NULL,
    messages      INTEGER NOT NULL,
    organisations TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
