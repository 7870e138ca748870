-- Version 2.

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
