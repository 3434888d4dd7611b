-- +goose Up
CREATE TABLE measurements (
    id          TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    release     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    starts_at   BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,
    value       DOUBLE PRECISION NOT NULL,
    state       TEXT NOT NULL,
    body        TEXT NOT NULL -- the whole measurement as JSON
);
CREATE INDEX measurements_window ON measurements (environment, starts_at, kind, name);
CREATE INDEX measurements_release ON measurements (environment, release, starts_at);

CREATE TABLE alerts (
    id          TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    release     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL,
    starts_at   BIGINT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX alerts_window ON alerts (environment, starts_at);
CREATE INDEX alerts_state ON alerts (environment, state);

CREATE TABLE retrains (
    id          TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    event_time  BIGINT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX retrains_event_time ON retrains (environment, event_time);
