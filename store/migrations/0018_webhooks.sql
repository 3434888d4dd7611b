-- +goose Up
CREATE TABLE webhooks (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    url         TEXT NOT NULL,
    events      TEXT NOT NULL,   -- JSON: list of names
    status      TEXT NOT NULL,
    secret      TEXT NOT NULL,   -- base64 of an age file; '' = messages are not signed
    after       BIGINT NOT NULL, -- number of the last event that it does not hear of
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    actor       TEXT NOT NULL
);
CREATE INDEX webhooks_created ON webhooks (created_at, id);

-- What was not delivered yet.
CREATE TABLE webhook_messages (
    id       TEXT PRIMARY KEY,
    webhook  TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event    TEXT NOT NULL,
    body     TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next     BIGINT NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX webhook_messages_next ON webhook_messages (next, id);
CREATE INDEX webhook_messages_webhook ON webhook_messages (webhook);

-- One row: the last event of which messages were made.
CREATE TABLE webhook_cursor (
    id  INTEGER PRIMARY KEY,
    seq BIGINT NOT NULL
);
INSERT INTO webhook_cursor (id, seq) SELECT 1, COALESCE(MAX(seq), 0) FROM events;

-- A matrix of thousands of cells asks for the tracked runs of one.
DROP INDEX tracked_runs_origin;
CREATE INDEX tracked_runs_origin ON tracked_runs (origin_run, origin_step, origin_cell) WHERE origin_run <> '';

-- Where the run of a version can be looked at, as its client says.
ALTER TABLE model_versions ADD COLUMN run_link TEXT NOT NULL DEFAULT '';
