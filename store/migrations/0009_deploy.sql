-- +goose Up
CREATE TABLE releases (
    environment TEXT NOT NULL,
    number      INTEGER NOT NULL,
    model       TEXT NOT NULL,
    version     INTEGER NOT NULL,
    digest      TEXT NOT NULL,
    settings    TEXT NOT NULL,
    equal_to    INTEGER NOT NULL,
    why         TEXT NOT NULL,
    actor       TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (environment, number)
);
CREATE INDEX releases_model ON releases (model, version);

-- The state machine's own document is in body; the columns are what is asked for.
CREATE TABLE rollouts (
    environment TEXT NOT NULL,
    number      INTEGER NOT NULL,
    release     INTEGER NOT NULL,
    state       TEXT NOT NULL,
    body        TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (environment, number),
    FOREIGN KEY (environment, release) REFERENCES releases (environment, number)
);
CREATE INDEX rollouts_release ON rollouts (environment, release);

-- At most one rollout of an environment is open.
CREATE UNIQUE INDEX rollouts_open ON rollouts (environment) WHERE state IN ('starting', 'running', 'promoting', 'rolling_back');

CREATE TABLE live (
    environment TEXT PRIMARY KEY,
    release     INTEGER NOT NULL,
    generation  BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    FOREIGN KEY (environment, release) REFERENCES releases (environment, number)
);

