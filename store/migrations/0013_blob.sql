-- +goose Up
-- Content of 64 KiB and less, which costs no file (BYTEA: SQLite takes any name of a type).
CREATE TABLE small_blobs (
    digest  TEXT PRIMARY KEY,
    bytes   BYTEA NOT NULL,
    used_at BIGINT NOT NULL                 -- when it was stored or found again
);

-- What `lastro gc` was told of a run, and what it has done.
CREATE TABLE run_retention (
    run       BIGINT PRIMARY KEY REFERENCES runs (number),
    pinned    INTEGER NOT NULL DEFAULT 0,
    let_go_at BIGINT NOT NULL DEFAULT 0     -- when its content stopped being kept; 0 = kept
);
