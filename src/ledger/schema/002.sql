-- Version 2.

-- What each channel sold of each SKU, fading (domain/demand.rs), for buffers that follow demand; kept only while a policy
-- has one. Without a SKU: all that the channel sold.
CREATE TABLE demand (
    sku     TEXT    NOT NULL,
    channel TEXT    NOT NULL,
    lines   REAL    NOT NULL,
    units   REAL    NOT NULL,
    squares REAL    NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (sku, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX demand_by_channel ON demand (channel, sku);

-- What such a buffer holds back at a place, and what it was worked out from.
CREATE TABLE held_buffer (
    place   INTEGER PRIMARY KEY REFERENCES listing_stock (id),
    units   INTEGER NOT NULL CHECK (units >= 0),
    figures TEXT    NOT NULL
) STRICT;

-- The ledger was found behind its head record: an older file was put in its place, or its write-ahead log was lost.
-- While there is a row nothing is raised. A file put back later is found behind anew.
CREATE TABLE restored (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    at     INTEGER NOT NULL,
    detail TEXT    NOT NULL
) STRICT;

-- How far each channel has been read again since: its numbers, then its orders.
CREATE TABLE restored_channel (
    channel    TEXT PRIMARY KEY,
    scanned_at INTEGER NOT NULL,
    swept_at   INTEGER
) STRICT, WITHOUT ROWID;

-- How late sales become known and pushes land on a channel, in milliseconds, as measured last.
CREATE TABLE delay (
    channel    TEXT PRIMARY KEY,
    at         INTEGER NOT NULL,
    known_p50  INTEGER NOT NULL,
    known_p99  INTEGER NOT NULL,
    landed_p50 INTEGER,
    landed_p99 INTEGER
) STRICT, WITHOUT ROWID;
