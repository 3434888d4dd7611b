-- +goose Up
CREATE TABLE users (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled   INTEGER NOT NULL
);

-- hash is the SHA-256 of the secret, which is kept nowhere.
CREATE TABLE tokens (
    id          TEXT PRIMARY KEY,
    hash        TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    user_name   TEXT NOT NULL,
    permissions TEXT NOT NULL,
    run         TEXT NOT NULL,
    step        TEXT NOT NULL,
    cell        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    revoked_at  BIGINT NOT NULL
);
CREATE INDEX tokens_user ON tokens (user_name, kind);
CREATE INDEX tokens_run ON tokens (run, step);
CREATE INDEX tokens_expires ON tokens (expires_at);
