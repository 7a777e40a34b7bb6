-- The history of mailaudit: one SQLite file, this schema.
--
-- It is made so that a night in which nothing changed costs one short row:
--
--   * What was observed (the facts) is cut into parts, and each distinct part
--     is kept once, under its SHA-256 (blobs). A run refers to a set of parts.
--   * What was concluded (the findings) is kept as spans: this answer, word
--     for word, from this run to that run. A run that changes nothing touches
--     no span; a span that still holds has no last run.
--   * What changes by itself (times, TTLs, transcripts) is in the sidecar, kept
--     for the newest run of a stream and for runs that changed something.
--   * Runs that were pruned are gone. Only where what is left refers to one of
--     them (since when a thing has failed), its row stays, as a bare number and
--     time in state pruned: so no verdict becomes younger than it is.
--
-- A stream is a series of runs that may be compared finding by finding: the
-- same target, kind, vantage and scope. A narrower run (--only mx) or a run
-- seen from elsewhere is another stream and breaks no span of this one.
-- Within a stream the order is that of the run ids, never that of the clock.
--
-- Questions in SQL: the views at the end, and docs/history.md.
-- Times are RFC 3339, UTC, milliseconds. Statuses, severities and states are
-- the words of the reports.

PRAGMA application_id = 0x6d61696c; -- "mail": says that the file is ours
PRAGMA user_version = 2;            -- version of this schema, see internal/store/migrations.go

-- Small things that repeat, each kept once.

CREATE TABLE scopes (
  id   INTEGER PRIMARY KEY,
  json TEXT NOT NULL UNIQUE CHECK (json_valid(json)) -- audit.Scope
) STRICT;

CREATE TABLE tools (
  id        INTEGER PRIMARY KEY,
  version   TEXT NOT NULL, -- of the program
  catalogue TEXT NOT NULL, -- of the rules
  UNIQUE (version, catalogue)
) STRICT;

CREATE TABLE vantages (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL, -- --vantage, default the host name
  helo TEXT NOT NULL, -- the name given in EHLO
  UNIQUE (name, helo)
) STRICT;

-- Content by its SHA-256. data is zstd when zstd is 1, else as it is; size and
-- sha256 are of the content before compression.
CREATE TABLE blobs (
  id     INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  size   INTEGER NOT NULL,
  zstd   INTEGER NOT NULL CHECK (zstd IN (0, 1)),
  data   BLOB NOT NULL
) STRICT;

-- A set of canonical facts. sha256 is over a line "NAME HEX-SHA256" for each
-- part, by name.
CREATE TABLE facts (
  id     INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  format INTEGER NOT NULL -- audit.FactsFormat
) STRICT;

CREATE TABLE fact_parts (
  facts INTEGER NOT NULL REFERENCES facts,
  name  TEXT NOT NULL, -- mx, hosts, rdns, smtp
  blob  INTEGER NOT NULL REFERENCES blobs,
  PRIMARY KEY (facts, name)
) STRICT, WITHOUT ROWID;

-- Counts of one run's findings, and its score. Runs that agree in both share the
-- row.
CREATE TABLE scores (
  id       INTEGER PRIMARY KEY,
  coverage INTEGER NOT NULL, -- percent
  critical INTEGER NOT NULL, -- fails by severity
  high     INTEGER NOT NULL,
  medium   INTEGER NOT NULL,
  low      INTEGER NOT NULL,
  info     INTEGER NOT NULL,
  unknown  INTEGER NOT NULL, -- findings that could not be settled
  axes     TEXT NOT NULL CHECK (json_valid(axes)), -- audit.Score; only its axes where it has no grades
  UNIQUE (coverage, critical, high, medium, low, info, unknown, axes)
) STRICT;

-- Streams and runs.

CREATE TABLE streams (
  id      INTEGER PRIMARY KEY,
  target  TEXT NOT NULL, -- the domain in A-labels
  kind    TEXT NOT NULL, -- audit
  vantage TEXT NOT NULL, -- vantages.name
  scope   INTEGER NOT NULL REFERENCES scopes,
  -- 0, or the id of the one run whose stream this is: a run that was aborted,
  -- or that finished after a younger run of its stream had finished.
  solo    INTEGER NOT NULL DEFAULT 0,
  UNIQUE (target, kind, vantage, scope, solo)
) STRICT;

CREATE TABLE runs (
  id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
  uid      TEXT NOT NULL UNIQUE,              -- UUIDv7
  stream   INTEGER NOT NULL REFERENCES streams,
  -- A run is inserted as running and completed in one transaction. What is
  -- still running when its process is gone was interrupted. A pruned run was
  -- complete; of its facts at most the part about mail hosts is left.
  state    TEXT NOT NULL CHECK (state IN ('running', 'complete', 'aborted', 'pruned')),
  -- Facts or findings differ from the run before in the stream, or there is
  -- none before; pruned runs do not count. Always 0 in a solo stream.
  changed  INTEGER NOT NULL DEFAULT 0 CHECK (changed IN (0, 1)),
  tag      TEXT NOT NULL DEFAULT '',
  note     TEXT NOT NULL DEFAULT '', -- a remark of the user
  started  TEXT NOT NULL,
  finished TEXT,
  domain   TEXT, -- of the snapshot; NULL: the target
  at       TEXT, -- of the snapshot; NULL: when the run started
  tool     INTEGER NOT NULL REFERENCES tools,
  vantage  INTEGER NOT NULL REFERENCES vantages,
  facts    INTEGER REFERENCES facts,
  past     INTEGER REFERENCES blobs, -- audit.Past, JSON
  layout   INTEGER REFERENCES blobs, -- the order of the findings: a JSON array of questions.id
  score    INTEGER REFERENCES scores,
  pid      INTEGER, -- of the process, while it runs
  host     TEXT,    -- where it runs
  CHECK (state NOT IN ('complete', 'aborted') OR
    (finished IS NOT NULL AND facts IS NOT NULL AND past IS NOT NULL AND layout IS NOT NULL AND score IS NOT NULL
     AND pid IS NULL AND host IS NULL)),
  CHECK (state <> 'pruned' OR
    (finished IS NULL AND past IS NULL AND layout IS NULL AND score IS NULL AND pid IS NULL AND host IS NULL))
) STRICT;

CREATE INDEX runs_of_stream ON runs (stream);

CREATE TABLE sidecars (
  run  INTEGER PRIMARY KEY REFERENCES runs,
  size INTEGER NOT NULL, -- of the JSON, octets
  data BLOB NOT NULL     -- audit.Sidecar, JSON, zstd
) STRICT;

-- Findings.

-- One rule asked of one subject: the key of every comparison.
CREATE TABLE questions (
  id      INTEGER PRIMARY KEY,
  rule    TEXT NOT NULL,
  subject TEXT NOT NULL,
  UNIQUE (rule, subject)
) STRICT;

-- What a finding says, each wording once. sha256 is over the four texts, each
-- followed by a zero octet.
CREATE TABLE bodies (
  id       INTEGER PRIMARY KEY,
  sha256   BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  detail   TEXT NOT NULL,
  cause    TEXT NOT NULL, -- why an unknown is unknown (audit.Code), or empty
  evidence TEXT NOT NULL CHECK (json_valid(evidence)), -- array of lines, or null
  fix      TEXT NOT NULL CHECK (json_valid(fix))
) STRICT;

-- This answer, word for word, in every complete run of the stream from
-- first_run to last_run. The findings of run R are the spans of its stream
-- with first_run <= R and (last_run >= R or last_run IS NULL). In a solo stream
-- nothing can follow, and every span is closed at once. Pruning takes away whole
-- spans or leaves them as they are: an end may be a pruned run.
CREATE TABLE spans (
  stream    INTEGER NOT NULL REFERENCES streams,
  question  INTEGER NOT NULL REFERENCES questions,
  first_run INTEGER NOT NULL REFERENCES runs,
  last_run  INTEGER REFERENCES runs, -- NULL: it still holds
  status    TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'unknown', 'n/a')),
  severity  TEXT NOT NULL,
  body      INTEGER NOT NULL REFERENCES bodies,
  PRIMARY KEY (stream, question, first_run),
  CHECK (last_run IS NULL OR last_run >= first_run)
) STRICT, WITHOUT ROWID;

CREATE INDEX spans_open ON spans (stream) WHERE last_run IS NULL;

-- Views: the file as people ask about it.

-- Every run that was not pruned, with its counts. A state of "running" may mean
-- interrupted.
CREATE VIEW run_list AS
SELECT r.id, r.uid, s.kind, r.state, s.target, s.vantage, r.started, r.finished, r.tag, r.note, r.changed,
       c.coverage, c.critical, c.high, c.medium, c.low, c.info, c.unknown,
       t.version, t.catalogue, r.stream, s.scope
FROM runs r
JOIN streams s ON s.id = r.stream
JOIN tools t ON t.id = r.tool
LEFT JOIN scores c ON c.id = r.score
WHERE r.state <> 'pruned';

-- Every span with its words and times, those of aborted runs too. now is 1
-- while it holds.
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

-- First seen, last seen, how long: each unbroken series of pass or of fail,
-- whatever its words were. An unknown in between breaks no series, because not
-- having seen is no news about them. now is 1 when the newest complete run of
-- the stream belongs to the series. Aborted runs are left out. Pruning takes
-- away whole series of which no run is left, and moves no date.
--
--   SELECT subject, rule, first_seen, last_seen, days FROM verdicts
--   WHERE target = 'example.org' AND status = 'fail' AND now;
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
