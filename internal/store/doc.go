// Package store keeps the history: runs go in, runs come out, in one SQLite
// file whose schema is schema.sql at the top of the repository.
//
// A run is written twice. [DB.Begin] inserts it as running and commits at
// once; [DB.Finish] stores everything it found in one transaction. A process
// that is killed in between leaves a visible orphan, never half a run.
//
// A night in which nothing changed costs one short row. Facts are cut into
// parts and kept once by SHA-256; findings are spans from a first to a last
// run, and an unchanged run touches none of them. Spans live in a stream: the
// runs of one target, kind, vantage and scope. A run that cannot be a link of
// that chain gets a stream of its own: an aborted one, and one that finishes
// after a younger run of its stream has already finished.
//
// Runs can be removed again ([DB.Prune]) without any verdict about the rest
// growing younger: whole spans go or stay, and of the runs on which they rest a
// number and a time are left. See series.go for why that is enough.
//
// SQLite runs in WAL mode (https://www.sqlite.org/wal.html): readers never
// block the writer, and writers queue for five seconds. One process must open
// a path once and share the DB between its goroutines: POSIX record locks
// belong to the process, and closing any descriptor of a file drops all of
// them (https://www.sqlite.org/howtocorrupt.html section 2.2).
package store
