-- Encrypted secrets: a signing key may be longer than its 32 bytes. Those of webhooks are text of any length already.

ALTER TABLE flashguard.signing_keys DROP CONSTRAINT signing_keys_secret_check;
ALTER TABLE flashguard.signing_keys ADD CONSTRAINT signing_keys_secret_check
    CHECK (length(secret) = 32 OR substr(secret, 1, 5) = 'fgs1.'::bytea);
