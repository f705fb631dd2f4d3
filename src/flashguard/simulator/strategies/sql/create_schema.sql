-- The statement that makes a run's own schema.
SELECT format('CREATE SCHEMA %I', $1::text)
