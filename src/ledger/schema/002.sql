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
-- When an order with units open is asked for by id next (NULL: none are open; 0: at once, since two snapshots of one
-- update time differ), whether the channel no longer gives it by id, and whether its open units count as shipped.
ALTER TABLE order_head ADD COLUMN reread_at INTEGER;
ALTER TABLE order_head ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE order_head ADD COLUMN assumed_shipped INTEGER NOT NULL DEFAULT 0;
UPDATE order_head SET reread_at = created_at WHERE EXISTS (SELECT 1 FROM order_line l
    WHERE l.channel = order_head.channel AND l.order_id = order_head.order_id
    AND l.ordered > l.cancelled + l.shipped);
CREATE INDEX order_to_reread ON order_head (channel, reread_at) WHERE reread_at IS NOT NULL;

-- What a scan under way has seen: it counts once the scan is complete and believed.
ALTER TABLE listing ADD COLUMN seen_sku TEXT;
ALTER TABLE listing ADD COLUMN seen_title TEXT;
ALTER TABLE listing ADD COLUMN seen_group TEXT;
ALTER TABLE listing ADD COLUMN seen_writable TEXT;
-- 1: seen by a scan that is not complete.
ALTER TABLE listing_stock ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
CREATE INDEX place_pending ON listing_stock (listing) WHERE pending = 1;

-- When orders were last read to the end (noted now and then), and since when they can't be.
ALTER TABLE channel ADD COLUMN orders_read_at INTEGER;
ALTER TABLE channel ADD COLUMN blind_since INTEGER;
