-- The optional rules of a sale, as the map that the kernel reads (see rules.py); none: '{}'.

ALTER TABLE flashguard.sales ADD COLUMN rules jsonb NOT NULL DEFAULT '{}';
