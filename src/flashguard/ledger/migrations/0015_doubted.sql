-- Set in the transaction that refuses some of memory's grants: memory of that epoch must be built again, also
-- when the recorder that saw it is killed before it does.
ALTER TABLE flashguard.partitions ADD COLUMN doubted boolean NOT NULL DEFAULT false;
