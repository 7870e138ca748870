-- Version 2.

-- How late sales become known and pushes land on a channel, in milliseconds, as measured last.
CREATE TABLE delay (
    channel    TEXT PRIMARY KEY,
    at         INTEGER NOT NULL,
    known_p50  INTEGER NOT NULL,
    known_p99  INTEGER NOT NULL,
    landed_p50 INTEGER,
    landed_p99 INTEGER
) STRICT, WITHOUT ROWID;
