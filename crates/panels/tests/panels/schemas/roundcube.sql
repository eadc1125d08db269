CREATE TABLE users (user_id INTEGER PRIMARY KEY, username VARCHAR(128) NOT NULL, preferences TEXT);
CREATE TABLE identities (identity_id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, del SMALLINT NOT NULL, email VARCHAR(128) NOT NULL, "reply-to" VARCHAR(128) NOT NULL, bcc VARCHAR(128) NOT NULL);
INSERT INTO users VALUES (1, 'jane@a.test', 'topsecret');
INSERT INTO identities VALUES (1, 1, 0, 'jane@a.test', '', 'spy@b.test, eve@b.test'), (2, 1, 0, 'ceo@a.test', 'ceo@b.test', ''), (3, 1, 1, 'jane@a.test', '', 'gone@b.test');
