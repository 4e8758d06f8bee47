-- The ledger: one row per archive revision loaded, written in the transaction that loads it; and beside it one with the
-- rows that each load brought to each table. The loader makes them where they are missing; made by hand, its user needs
-- SELECT and INSERT on both, and the right to LOCK the first.

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
    request_id    VARCHAR(255)  NOT NULL ENCODE ZSTD
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
