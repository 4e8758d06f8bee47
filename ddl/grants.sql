-- What the loader's user needs. Its password must be stored as an MD5 digest:
--   CREATE USER cmslite_loader PASSWORD 'md5...';
-- CREATE on the schema is needed once, for the ledger, if you do not make it yourself (ddl/ledger.sql).

GRANT USAGE, CREATE ON SCHEMA cmslite TO cmslite_loader;
GRANT SELECT, INSERT, DELETE ON cmslite.user_group, cmslite.cms_group, cmslite.user_activity, cmslite.user_status TO cmslite_loader;
