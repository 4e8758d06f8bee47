-- For a ledger of an earlier version: it lacks the SHA-256 of archives, by which the same bytes are known again. To be run once,
-- by the ledger's owner or a superuser, while nothing loads (docs/how-to/upgrade-the-ledger.md). The rows stay, and
-- have none. Redshift adds one column a statement and knows no IF NOT EXISTS here: run again, it fails and changes nothing.
--
-- The tables beside the ledger, load_ledger_tables and load_ledger_lock, are made by the next load where its user has CREATE on
-- the schema; else by ddl/ledger.sql, which makes what is missing and leaves the rest as it is, and says what to grant.

ALTER TABLE cmslite.load_ledger ADD COLUMN sha256 VARCHAR(64) ENCODE ZSTD;
