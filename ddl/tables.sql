-- The four tables of the dataset cmslite_user_group_metadata.

CREATE SCHEMA IF NOT EXISTS cmslite;

CREATE TABLE IF NOT EXISTS cmslite.user_group (
    id           VARCHAR(255) NOT NULL ENCODE ZSTD,
    user_id      VARCHAR(255) NOT NULL ENCODE ZSTD,
    email        VARCHAR(512)          ENCODE ZSTD,
    group_id     VARCHAR(255) NOT NULL ENCODE ZSTD,
    group_name   VARCHAR(255)          ENCODE ZSTD,
    site_key     VARCHAR(64)           ENCODE ZSTD,
    is_group_mgr BOOL                  ENCODE ZSTD
);

CREATE TABLE IF NOT EXISTS cmslite.cms_group (
    id           VARCHAR(255) NOT NULL ENCODE ZSTD,
    name         VARCHAR(255)          ENCODE ZSTD,
    active       BOOL                  ENCODE ZSTD,
    site_key     VARCHAR(64)           ENCODE ZSTD
);

CREATE TABLE IF NOT EXISTS cmslite.user_activity (
    user_id       VARCHAR(100) NOT NULL ENCODE ZSTD,
    user_idir     VARCHAR(100)          ENCODE ZSTD,
    activity_type VARCHAR(255)          ENCODE ZSTD,
    memo          VARCHAR(255)          ENCODE ZSTD,
    activity_date TIMESTAMP             ENCODE ZSTD,
    group_name    VARCHAR(255)          ENCODE ZSTD
);

CREATE TABLE IF NOT EXISTS cmslite.user_status (
    id           VARCHAR(255) NOT NULL ENCODE ZSTD,
    organization VARCHAR(20)           ENCODE ZSTD,
    user_id      VARCHAR(100)          ENCODE ZSTD,
    user_name    VARCHAR(512)          ENCODE ZSTD,
    email        VARCHAR(512)          ENCODE ZSTD,
    created_dt   TIMESTAMP             ENCODE ZSTD,
    status       VARCHAR(32)           ENCODE ZSTD
);
