-- A file of an older program, for the machinery of migrations alone: see
-- testOptions in migrations_test.go. Real ones are in frozen/.
PRAGMA application_id = 0x6d61696c;
PRAGMA user_version = 0;
CREATE TABLE people (id INTEGER PRIMARY KEY, first TEXT NOT NULL, last TEXT NOT NULL) STRICT;
INSERT INTO people VALUES (1, 'Ada', 'Lovelace');
INSERT INTO people VALUES (2, 'Jon', 'Postel');
