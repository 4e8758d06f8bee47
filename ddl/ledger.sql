-- The ledger: one row per archive revision loaded, written in the transaction that loads it. The loader makes it where it
-- is missing; made by hand, its user needs SELECT, INSERT and the right to LOCK it.

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
