-- +goose Up
CREATE TABLE causes (
    project TEXT NOT NULL,
    key     TEXT NOT NULL, -- what makes two causes the same
    id      TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL,
    state   TEXT NOT NULL,
    reason  TEXT NOT NULL DEFAULT '',
    run     BIGINT NOT NULL DEFAULT 0, -- 0 = none yet; set in the transaction that makes the run
    tries   BIGINT NOT NULL DEFAULT 0,
    at      BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    body    TEXT NOT NULL, -- the rest as JSON
    PRIMARY KEY (project, key)
);
CREATE INDEX causes_state ON causes (project, state, seen_at);
CREATE INDEX causes_seen ON causes (project, seen_at);
CREATE INDEX causes_kind ON causes (project, kind, seen_at);
CREATE INDEX causes_run ON causes (run);

-- How far was looked: the tick of a schedule, the commit of a branch, the version of a dataset.
CREATE TABLE trigger_marks (
    project TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (project, name)
);

-- Webhook deliveries that were taken, so that none is taken twice.
CREATE TABLE webhook_deliveries (
    provider TEXT NOT NULL,
    id       TEXT NOT NULL,
    digest   TEXT NOT NULL, -- of the body: the id is not signed, so a replay could bring another one
    at       BIGINT NOT NULL,
    PRIMARY KEY (provider, id)
);
CREATE UNIQUE INDEX webhook_deliveries_digest ON webhook_deliveries (provider, digest);
