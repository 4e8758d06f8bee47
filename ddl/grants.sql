-- What the loader's user needs. Its password may be stored as an MD5 or a SHA-256 digest:
--   CREATE USER cmslite_loader PASSWORD 'md5...';
-- CREATE on the schema is needed once, for the ledger and the two tables beside it, if you do not make them yourself
-- (ddl/ledger.sql); then the user needs these instead:
--   GRANT SELECT, INSERT ON cmslite.load_ledger, cmslite.load_ledger_tables TO cmslite_loader;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock TO cmslite_loader;

GRANT USAGE, CREATE ON SCHEMA cmslite TO cmslite_loader;
GRANT SELECT, INSERT, DELETE ON cmslite.user_group, cmslite.cms_group, cmslite.user_activity, cmslite.user_status TO cmslite_loader;
