CREATE TABLE sogo_user_profile (c_uid VARCHAR(255) PRIMARY KEY, c_defaults TEXT, c_settings TEXT);
CREATE TABLE sogo_folder_info (c_folder_id INTEGER PRIMARY KEY, c_path VARCHAR(255) NOT NULL, c_path2 VARCHAR(255));
CREATE TABLE sogo_acl (c_folder_id INTEGER NOT NULL, c_object VARCHAR(255) NOT NULL, c_uid VARCHAR(255) NOT NULL, c_role VARCHAR(80) NOT NULL);
INSERT INTO sogo_user_profile VALUES ('jane@a.test', '{"Forward":{"enabled":1,"forwardAddress":["eve@b.test"]},"SOGoSieveFilters":[{"name":"boss","active":1,"match":"allmessages","actions":[{"method":"redirect","argument":"spy@b.test"}]}],"Vacation":{"enabled":0,"autoReplyEmailAddresses":["jane@a.test"]},"AuxiliaryMailAccounts":[{"serverName":"imap.b.test","password":"topsecret"}]}', '{"Mail":{"DelegateTo":["bob@b.test"]}}');
INSERT INTO sogo_folder_info VALUES (1, '/Users/jane@a.test/Calendar/personal', 'jane@a.test');
INSERT INTO sogo_acl VALUES (1, '/jane@a.test/Calendar/personal', 'bob@b.test', 'PublicViewer');
CREATE TABLE sogo_sessions_folder (c_id VARCHAR(255) PRIMARY KEY, c_value VARCHAR(4096) NOT NULL, c_creationdate INT NOT NULL, c_lastseen INT NOT NULL);
INSERT INTO sogo_sessions_folder VALUES ('topsecret', 'topsecret', 1, 2);
