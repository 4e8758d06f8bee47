-- The loader's user and the grants that it needs, one on each line: `check` tests the same lines. Run it as an administrator, after
-- ddl/tables.sql. The user logs in through IAM, or with a password, which is best set as a digest (docs/how-to/deploy.md#permissions-in-redshift):
--   ALTER USER cmslite_loader PASSWORD 'md5...';

CREATE USER cmslite_loader PASSWORD DISABLE;

-- CREATE is needed once, for the ledger and the tables beside it. If you create them yourself, with ddl/ledger.sql, leave it out:
--   GRANT USAGE ON SCHEMA cmslite TO cmslite_loader;
--   GRANT SELECT, INSERT ON cmslite.load_ledger TO cmslite_loader;
--   GRANT SELECT, INSERT ON cmslite.load_ledger_tables TO cmslite_loader;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock TO cmslite_loader;
GRANT USAGE, CREATE ON SCHEMA cmslite TO cmslite_loader;

GRANT INSERT, DELETE ON cmslite.cms_group TO cmslite_loader;
GRANT INSERT, DELETE ON cmslite.user_activity TO cmslite_loader;
GRANT INSERT, DELETE ON cmslite.user_group TO cmslite_loader;
GRANT INSERT, DELETE ON cmslite.user_status TO cmslite_loader;
