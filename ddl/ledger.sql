-- The ledger: one row for each loaded revision of an archive, written in the transaction that loads it. Beside it are a table
-- with the number of rows that each load added to each table, and an empty table that loads lock. The loader creates them if
-- they are missing and its user has CREATE on the schema.
--
-- If you create them by hand, the loader's user needs:
--   GRANT SELECT, INSERT ON cmslite.load_ledger, cmslite.load_ledger_tables TO cmslite_loader;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock TO cmslite_loader;
-- Readers of the ledger, a BI tool for example, need:
--   GRANT USAGE ON SCHEMA cmslite TO GROUP analysts;
--   GRANT SELECT ON cmslite.load_ledger, cmslite.load_ledger_tables TO GROUP analysts;
-- A ledger of an earlier version lacks sha256: ddl/upgrade-ledger.sql adds it.
-- No other user needs permissions on the lock table. A session that reads it waits for a load, and delays the next one.

CREATE TABLE IF NOT EXISTS cmslite.load_ledger (
    dataset       VARCHAR(255)  NOT NULL ENCODE ZSTD,
    bucket        VARCHAR(255)  NOT NULL ENCODE ZSTD,
    key           VARCHAR(1024) NOT NULL ENCODE ZSTD,
    etag          VARCHAR(255)  NOT NULL ENCODE ZSTD,
    last_modified TIMESTAMP     NOT NULL ENCODE ZSTD,
    size_bytes    BIGINT        NOT NULL ENCODE ZSTD,
    row_count     BIGINT        NOT NULL ENCODE ZSTD,
    sequence      BIGINT        NOT NULL ENCODE ZSTD,
    loaded_at     TIMESTAMP     NOT NULL ENCODE ZSTD,
    request_id    VARCHAR(255)  NOT NULL ENCODE ZSTD,
    sha256        VARCHAR(64)            ENCODE ZSTD
);

-- dataset, sequence and request_id are those of the ledger's row. A ledger of an earlier version gets this table at its next
-- load and keeps its rows: for earlier loads, it has no rows.
CREATE TABLE IF NOT EXISTS cmslite.load_ledger_tables (
    dataset       VARCHAR(255)  NOT NULL ENCODE ZSTD,
    sequence      BIGINT        NOT NULL ENCODE ZSTD,
    request_id    VARCHAR(255)  NOT NULL ENCODE ZSTD,
    table_name    VARCHAR(255)  NOT NULL ENCODE ZSTD,
    row_count     BIGINT        NOT NULL ENCODE ZSTD
);

-- It has no rows. LOCK keeps readers out, so loads lock this table and not the ledger. AWS does not say which privilege
-- LOCK needs; PostgreSQL 8.0, on which Redshift is based, requires UPDATE or DELETE.
CREATE TABLE IF NOT EXISTS cmslite.load_ledger_lock (
    unused        BIGINT        NOT NULL ENCODE ZSTD
);
