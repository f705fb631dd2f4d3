-- A sale's waiting room: its rules, and the secret seed of its lottery, to which the sale commits when it is made.

ALTER TABLE flashguard.sales
    ADD COLUMN waiting_room jsonb,               -- model.WaitingRoom, without the commitment, which follows from the seed
    ADD COLUMN room_seed text CHECK (room_seed ~ '^[0-9a-f]{64}$'),
    ADD COLUMN room_opened_at timestamptz,       -- the lottery is closed: the seed may be published
    ADD CHECK ((waiting_room IS NULL) = (room_seed IS NULL));
