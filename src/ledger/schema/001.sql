-- Quantities are whole units, times are UTC milliseconds. Version 1.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Who this ledger is: idempotency keys are derived from it.
INSERT INTO meta (key, value) VALUES ('ledger_id', lower(hex(randomblob(16))));

-- Every change of stock, for ever. `at` is when it was recorded, `effective_at` when it happened.
CREATE TABLE movement (
    id              INTEGER PRIMARY KEY,
    at              INTEGER NOT NULL,
    effective_at    INTEGER NOT NULL,
    sku             TEXT    NOT NULL,
    location        TEXT    NOT NULL,
    on_hand_delta   INTEGER NOT NULL,
    committed_delta INTEGER NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN
        ('opening', 'count', 'receipt', 'adjustment', 'order', 'ship', 'cancel', 'return', 'transfer')),
    channel         TEXT,
    order_ref       TEXT,
    reason          TEXT,
    hash            BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX movement_by_sku ON movement (sku, location, effective_at);
CREATE TRIGGER movement_is_never_updated BEFORE UPDATE ON movement
    BEGIN SELECT raise(ABORT, 'movements are append-only'); END;
CREATE TRIGGER movement_is_never_deleted BEFORE DELETE ON movement
    BEGIN SELECT raise(ABORT, 'movements are append-only'); END;

-- The chain and the balances at one movement, so that a check can start there.
CREATE TABLE checkpoint (
    movement      INTEGER PRIMARY KEY,
    at            INTEGER NOT NULL,
    chain_hash    BLOB    NOT NULL,
    balances_hash BLOB    NOT NULL
) STRICT;

-- The sum of the movements, changed in their transaction.
CREATE TABLE stock (
    sku       TEXT    NOT NULL,
    location  TEXT    NOT NULL,
    on_hand   INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    PRIMARY KEY (sku, location)
) STRICT, WITHOUT ROWID;
CREATE INDEX stock_short ON stock (sku) WHERE on_hand < committed;

-- The last count of each SKU and location: orders placed before it are its baseline.
CREATE TABLE counted (
    sku        TEXT    NOT NULL,
    location   TEXT    NOT NULL,
    counted_at INTEGER NOT NULL,
    basis      TEXT    NOT NULL CHECK (basis IN ('on_hand', 'available')),
    quantity   INTEGER NOT NULL,
    PRIMARY KEY (sku, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE channel (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    account       TEXT NOT NULL,
    account_name  TEXT NOT NULL,
    first_contact INTEGER NOT NULL,
    scan          INTEGER NOT NULL DEFAULT 0,
    scanned_at    INTEGER
) STRICT, WITHOUT ROWID;

-- How far orders have been read: the latest update seen.
CREATE TABLE cursor (
    channel      TEXT PRIMARY KEY,
    updated_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE order_head (
    channel    TEXT    NOT NULL,
    order_id   TEXT    NOT NULL,
    number     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    content    INTEGER NOT NULL,
    PRIMARY KEY (channel, order_id)
) STRICT, WITHOUT ROWID;

-- The latest snapshot of each line.
CREATE TABLE order_line (
    id               INTEGER PRIMARY KEY,
    channel          TEXT    NOT NULL,
    order_id         TEXT    NOT NULL,
    line_id          TEXT    NOT NULL,
    listing_id       TEXT,
    channel_sku      TEXT,
    channel_location TEXT,
    ordered          INTEGER NOT NULL,
    cancelled        INTEGER NOT NULL,
    shipped          INTEGER NOT NULL,
    restocked        INTEGER NOT NULL,
    held             INTEGER NOT NULL,
    largest          INTEGER NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('applied', 'quarantined', 'dropped')),
    UNIQUE (channel, order_id, line_id),
    FOREIGN KEY (channel, order_id) REFERENCES order_head (channel, order_id)
) STRICT;

-- What a line takes from stock, frozen when it was first applied. `base_on_hand` is what a count already contained.
CREATE TABLE order_line_part (
    line              INTEGER NOT NULL REFERENCES order_line (id),
    sku               TEXT    NOT NULL,
    location          TEXT    NOT NULL,
    units             INTEGER NOT NULL CHECK (units >= 1),
    base_on_hand      INTEGER NOT NULL,
    applied_on_hand   INTEGER NOT NULL,
    applied_committed INTEGER NOT NULL,
    PRIMARY KEY (line, sku)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_open ON order_line_part (sku, line) WHERE applied_committed <> 0;

CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY,
    line   INTEGER NOT NULL UNIQUE REFERENCES order_line (id),
    at     INTEGER NOT NULL,
    reason TEXT    NOT NULL
) STRICT;

CREATE TABLE listing (
    id          INTEGER PRIMARY KEY,
    channel     TEXT    NOT NULL,
    listing_id  TEXT    NOT NULL,
    channel_sku TEXT,
    title       TEXT    NOT NULL,
    batch_group TEXT    NOT NULL,
    writable    TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    seen_scan   INTEGER NOT NULL,
    UNIQUE (channel, listing_id)
) STRICT;
CREATE INDEX listing_by_sku ON listing (channel_sku, channel);

CREATE TABLE listing_component (
    listing INTEGER NOT NULL REFERENCES listing (id),
    sku     TEXT    NOT NULL,
    units   INTEGER NOT NULL CHECK (units >= 1),
    PRIMARY KEY (listing, sku)
) STRICT, WITHOUT ROWID;
CREATE INDEX component_by_sku ON listing_component (sku, listing);

-- One row per place where a channel keeps a number.
-- `expected` is the most it can be showing; by `slack` it may be less, through sales already in the ledger that our
-- own write may have erased; by `unplaced` too, through sales that the last read may or may not have shown.
-- `undecided` are sales that either explain a shadow of before the last landing or came after it: the next read tells.
-- `explained`: an order, or units seen to be gone, explain that it is to change.
-- The last read was made between `observed_at` and `observed_to`, by the channel's clock.
-- `request` is the unresolved write; `flight_sold` and `flight_back` are the channel's own sales and give-backs
-- ingested since it was prepared. `landed_from`..`landed_to` is when the last write landed, by the channel's clock.
CREATE TABLE listing_stock (
    id               INTEGER PRIMARY KEY,
    listing          INTEGER NOT NULL REFERENCES listing (id),
    channel_location TEXT    NOT NULL,
    expected         INTEGER,
    expected_at      INTEGER,
    slack            INTEGER NOT NULL DEFAULT 0,
    unplaced         INTEGER NOT NULL DEFAULT 0,
    undecided        INTEGER NOT NULL DEFAULT 0,
    observed         INTEGER,
    observed_at      INTEGER,
    observed_to      INTEGER,
    landed_from      INTEGER NOT NULL DEFAULT 0,
    landed_to        INTEGER NOT NULL DEFAULT 0,
    version          INTEGER NOT NULL DEFAULT 0,
    request          INTEGER REFERENCES request (id),
    flight_sold      INTEGER NOT NULL DEFAULT 0,
    flight_back      INTEGER NOT NULL DEFAULT 0,
    needs_read       INTEGER NOT NULL DEFAULT 0,
    explained        INTEGER NOT NULL DEFAULT 0,
    UNIQUE (listing, channel_location)
) STRICT;
CREATE INDEX place_in_flight ON listing_stock (request) WHERE request IS NOT NULL;

-- Units a quantity read showed as gone that no order explains yet. `open`: seen since the place's last landing.
CREATE TABLE shadow (
    id        INTEGER PRIMARY KEY,
    place     INTEGER NOT NULL REFERENCES listing_stock (id),
    units     INTEGER NOT NULL CHECK (units > 0),
    read_at   INTEGER NOT NULL,
    read_to   INTEGER NOT NULL,
    lapses_at INTEGER NOT NULL,
    open      INTEGER NOT NULL
) STRICT;
CREATE INDEX shadow_by_place ON shadow (place);
CREATE INDEX shadow_by_lapse ON shadow (lapses_at);

-- The outbox: whole calls, and the numbers in them.
CREATE TABLE request (
    id          INTEGER PRIMARY KEY,
    channel     TEXT    NOT NULL,
    key         TEXT    NOT NULL UNIQUE,
    body        TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('prepared', 'unknown', 'settled')),
    prepared_at INTEGER NOT NULL,
    settled_at  INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX request_open ON request (channel, id) WHERE state <> 'settled';

CREATE TABLE push (
    id          INTEGER PRIMARY KEY,
    place       INTEGER NOT NULL REFERENCES listing_stock (id),
    version     INTEGER NOT NULL,
    value       INTEGER NOT NULL CHECK (value >= 0),
    change_from INTEGER,
    request     INTEGER NOT NULL REFERENCES request (id),
    ledger_seq  INTEGER NOT NULL,
    inputs      TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN
        ('prepared', 'applied', 'rejected', 'conflict', 'unknown', 'not_sent')),
    detail      TEXT,
    UNIQUE (place, version)
) STRICT;
CREATE INDEX push_by_request ON push (request);

CREATE TABLE pause (
    channel TEXT    NOT NULL,
    sku     TEXT    NOT NULL,
    zero    INTEGER NOT NULL,
    reason  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (channel, sku)
) STRICT, WITHOUT ROWID;

-- A channel's brake: engaged until a person releases it; released until what it held has gone out.
CREATE TABLE brake (
    channel TEXT PRIMARY KEY,
    state   TEXT    NOT NULL CHECK (state IN ('engaged', 'released')),
    at      INTEGER NOT NULL,
    held    INTEGER NOT NULL,
    reason  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE incident (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    channel TEXT,
    sku     TEXT,
    detail  TEXT    NOT NULL
) STRICT;

-- What people ask through the CLI, and the answers.
CREATE TABLE request_in (
    id          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    operation   TEXT    NOT NULL,
    answered_at INTEGER,
    ok          INTEGER,
    answer      TEXT
) STRICT;
CREATE INDEX request_in_open ON request_in (id) WHERE answered_at IS NULL;
