-- Whether an entry of a waiting list may be served before the sale's waiting room is empty: its customer was admitted when
-- it joined, or the sale has no room. Entries of before are taken as not admitted, where there is a room.

ALTER TABLE flashguard.waiting_list ADD COLUMN admitted boolean NOT NULL DEFAULT false;
