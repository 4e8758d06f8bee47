-- For a ledger of an earlier version, which lacks the SHA-256 of archives, by which the same bytes are recognised. Run it once,
-- as the ledger's owner or a superuser, while no load is running (docs/how-to/upgrade-the-ledger.md). Existing rows stay, without
-- a SHA-256. Redshift adds one column with each statement and has no IF NOT EXISTS here: a second time, it fails and changes
-- nothing.
--
-- The next load creates the tables beside the ledger, load_ledger_tables and load_ledger_lock, if its user has CREATE on the
-- schema. Otherwise run ddl/ledger.sql, which creates what is missing, changes nothing else, and says what to grant.

ALTER TABLE cmslite.load_ledger ADD COLUMN sha256 VARCHAR(64) ENCODE ZSTD;
