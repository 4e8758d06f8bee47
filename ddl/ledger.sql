-- The ledger: one row per archive revision loaded, written in the transaction that loads it; beside it a table with the
-- rows that each load brought to each table, and an empty one that loads lock. The loader makes them where they are
-- missing and its user has CREATE on the schema.
--
-- Made by hand, the loader's user needs:
--   GRANT SELECT, INSERT ON cmslite.load_ledger, cmslite.load_ledger_tables TO cmslite_loader;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON cmslite.load_ledger_lock TO cmslite_loader;
-- Whoever is to see what was loaded, a BI tool for example:
--   GRANT USAGE ON SCHEMA cmslite TO GROUP analysts;
--   GRANT SELECT ON cmslite.load_ledger, cmslite.load_ledger_tables TO GROUP analysts;
-- A ledger of an earlier version lacks sha256: ddl/upgrade-ledger.sql adds it.
-- Nobody else needs a right to the lock table. Who reads it waits for a load, and holds up the next one.

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
-- load and keeps its rows: of loads before, it does not say what they brought.
CREATE TABLE IF NOT EXISTS cmslite.load_ledger_tables (
    dataset       VARCHAR(255)  NOT NULL ENCODE ZSTD,
    sequence      BIGINT        NOT NULL ENCODE ZSTD,
    request_id    VARCHAR(255)  NOT NULL ENCODE ZSTD,
    table_name    VARCHAR(255)  NOT NULL ENCODE ZSTD,
    row_count     BIGINT        NOT NULL ENCODE ZSTD
);

-- It has no rows. LOCK keeps readers out, so that it is not the ledger which is locked. Amazon does not say which right
-- LOCK needs; PostgreSQL 8.0, from which Redshift comes, wants UPDATE or DELETE.
CREATE TABLE IF NOT EXISTS cmslite.load_ledger_lock (
    unused        BIGINT        NOT NULL ENCODE ZSTD
);
