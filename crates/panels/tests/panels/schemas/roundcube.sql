CREATE TABLE users (user_id INTEGER PRIMARY KEY, username VARCHAR(128) NOT NULL, preferences TEXT);
CREATE TABLE identities (identity_id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, del SMALLINT NOT NULL, email VARCHAR(128) NOT NULL, "reply-to" VARCHAR(128) NOT NULL, bcc VARCHAR(128) NOT NULL);
INSERT INTO users VALUES (1, 'jane@a.test', 'topsecret');
INSERT INTO identities VALUES (1, 1, 0, 'jane@a.test', '', 'spy@b.test, eve@b.test'), (2, 1, 0, 'ceo@a.test', 'ceo@b.test', ''), (3, 1, 1, 'jane@a.test', '', 'gone@b.test');
CREATE TABLE session (sess_id VARCHAR(128) PRIMARY KEY, ip VARCHAR(40) NOT NULL, vars TEXT NOT NULL);
INSERT INTO session VALUES ('topsecret', '198.51.100.7', 'dGVtcHxiOjE7bGFuZ3VhZ2V8czo1OiJlbl9VUyI7dXNlcl9pZHxpOjE7dXNlcm5hbWV8czoxMToiamFuZUBhLnRlc3QiO3Bhc3N3b3JkfHM6OToidG9wc2VjcmV0Ijs='), ('topsecret2', '198.51.100.8', 'dGVtcHxiOjE7bGFuZ3VhZ2V8czo1OiJlbl9VUyI7dGFza3xzOjU6ImxvZ2luIjv/');
