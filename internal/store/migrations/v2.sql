-- Version 1 to 2: a run has a note, and may be pruned.
--
-- SQLite cannot loosen a CHECK of a table that is there, so runs is made anew.
-- What refers to it goes first and comes last: references are enforced at every
-- moment. This file is frozen.

DROP VIEW verdicts;
DROP VIEW history;
DROP VIEW run_list;

CREATE TABLE old_spans AS SELECT * FROM spans;
CREATE TABLE old_sidecars AS SELECT * FROM sidecars;
CREATE TABLE old_runs AS SELECT * FROM runs;
DROP TABLE spans;
DROP TABLE sidecars;
DROP TABLE runs;

CREATE TABLE runs (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  uid      TEXT NOT NULL UNIQUE,
  stream   INTEGER NOT NULL REFERENCES streams,
  state    TEXT NOT NULL CHECK (state IN ('running', 'complete', 'aborted', 'pruned')),
  changed  INTEGER NOT NULL DEFAULT 0 CHECK (changed IN (0, 1)),
  tag      TEXT NOT NULL DEFAULT '',
  note     TEXT NOT NULL DEFAULT '',
  started  TEXT NOT NULL,
  finished TEXT,
  domain   TEXT,
  at       TEXT,
  tool     INTEGER NOT NULL REFERENCES tools,
  vantage  INTEGER NOT NULL REFERENCES vantages,
  facts    INTEGER REFERENCES facts,
  past     INTEGER REFERENCES blobs,
  layout   INTEGER REFERENCES blobs,
  score    INTEGER REFERENCES scores,
  pid      INTEGER,
  host     TEXT,
  CHECK (state NOT IN ('complete', 'aborted') OR
    (finished IS NOT NULL AND facts IS NOT NULL AND past IS NOT NULL AND layout IS NOT NULL AND score IS NOT NULL
     AND pid IS NULL AND host IS NULL)),
  CHECK (state <> 'pruned' OR
    (finished IS NULL AND past IS NULL AND layout IS NULL AND score IS NULL AND pid IS NULL AND host IS NULL))
) STRICT;

CREATE INDEX runs_of_stream ON runs (stream);

INSERT INTO runs (id, uid, stream, state, changed, tag, started, finished, domain, at, tool, vantage, facts, past, layout, score, pid, host)
SELECT id, uid, stream, state, changed, tag, started, finished, domain, at, tool, vantage, facts, past, layout, score, pid, host
FROM old_runs ORDER BY id;

CREATE TABLE sidecars (
  run  INTEGER PRIMARY KEY REFERENCES runs,
  size INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;

INSERT INTO sidecars (run, size, data) SELECT run, size, data FROM old_sidecars ORDER BY run;

CREATE TABLE spans (
  stream    INTEGER NOT NULL REFERENCES streams,
  question  INTEGER NOT NULL REFERENCES questions,
  first_run INTEGER NOT NULL REFERENCES runs,
  last_run  INTEGER REFERENCES runs,
  status    TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'unknown', 'n/a')),
  severity  TEXT NOT NULL,
  body      INTEGER NOT NULL REFERENCES bodies,
  PRIMARY KEY (stream, question, first_run),
  CHECK (last_run IS NULL OR last_run >= first_run)
) STRICT, WITHOUT ROWID;

INSERT INTO spans (stream, question, first_run, last_run, status, severity, body)
SELECT stream, question, first_run, last_run, status, severity, body FROM old_spans ORDER BY stream, question, first_run;

CREATE INDEX spans_open ON spans (stream) WHERE last_run IS NULL;

DROP TABLE old_spans;
DROP TABLE old_sidecars;
DROP TABLE old_runs;

CREATE VIEW run_list AS
SELECT r.id, r.uid, s.kind, r.state, s.target, s.vantage, r.started, r.finished, r.tag, r.note, r.changed,
       c.coverage, c.critical, c.high, c.medium, c.low, c.info, c.unknown,
       t.version, t.catalogue, r.stream, s.scope
FROM runs r
JOIN streams s ON s.id = r.stream
JOIN tools t ON t.id = r.tool
LEFT JOIN scores c ON c.id = r.score
WHERE r.state <> 'pruned';

CREATE VIEW history AS
SELECT s.stream, t.target, t.kind, t.vantage, q.rule, q.subject, s.status, s.severity, b.detail,
       s.first_run, f.started AS first_seen,
       l.id AS last_run, l.started AS last_seen,
       s.last_run IS NULL AS now
FROM spans s
JOIN streams t ON t.id = s.stream
JOIN questions q ON q.id = s.question
JOIN bodies b ON b.id = s.body
JOIN runs f ON f.id = s.first_run
JOIN runs l ON l.id = coalesce(s.last_run, (SELECT max(id) FROM runs WHERE stream = s.stream AND state = 'complete'));

CREATE VIEW verdicts AS
WITH known AS (
  SELECT s.stream, t.target, t.kind, t.vantage, s.question, s.status, s.first_run,
         coalesce(s.last_run, (SELECT max(id) FROM runs WHERE stream = s.stream AND state = 'complete')) AS last_run,
         s.last_run IS NULL AS now,
         s.status IS NOT lag(s.status) OVER (PARTITION BY t.target, s.stream, s.question ORDER BY s.first_run) AS turn
  FROM spans s
  JOIN streams t ON t.id = s.stream
  WHERE s.status IN ('pass', 'fail')
    AND (SELECT state FROM runs WHERE id = s.first_run) IN ('complete', 'pruned')
), numbered AS (
  SELECT *, sum(turn) OVER (PARTITION BY target, stream, question ORDER BY first_run) AS series FROM known
), joined AS (
  SELECT stream, target, kind, vantage, question, status,
         min(first_run) AS first_run, max(last_run) AS last_run, max(now) AS now
  FROM numbered
  GROUP BY target, stream, question, series
)
SELECT j.stream, j.target, j.kind, j.vantage, q.rule, q.subject, j.status,
       j.first_run, f.started AS first_seen, j.last_run, l.started AS last_seen, j.now,
       round(julianday(l.started) - julianday(f.started), 1) AS days
FROM joined j
JOIN questions q ON q.id = j.question
JOIN runs f ON f.id = j.first_run
JOIN runs l ON l.id = j.last_run;
