-- +goose Up
CREATE TABLE experiments (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    actor      TEXT NOT NULL
);
INSERT INTO experiments (id, name, state, created_at, updated_at, actor) VALUES ('0', 'Default', 'active', 0, 0, 'system:store');

CREATE TABLE experiment_tags (
    experiment TEXT NOT NULL REFERENCES experiments (id),
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (experiment, key)
);

CREATE TABLE tracked_runs (
    id          TEXT PRIMARY KEY,
    experiment  TEXT NOT NULL REFERENCES experiments (id),
    name        TEXT NOT NULL,
    status      TEXT NOT NULL,
    state       TEXT NOT NULL,
    client_user TEXT NOT NULL,
    actor       TEXT NOT NULL,
    origin_run  TEXT NOT NULL,
    origin_step TEXT NOT NULL,
    origin_cell TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    deleted_at  BIGINT NOT NULL
);
CREATE INDEX tracked_runs_experiment ON tracked_runs (experiment, started_at);
CREATE INDEX tracked_runs_origin ON tracked_runs (origin_run, origin_step);

CREATE TABLE tracked_params (
    run   TEXT NOT NULL REFERENCES tracked_runs (id),
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
);

CREATE TABLE tracked_tags (
    run   TEXT NOT NULL REFERENCES tracked_runs (id),
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
);

-- The primary key makes a batch that is sent twice count once.
CREATE TABLE metric_points (
    run            TEXT NOT NULL REFERENCES tracked_runs (id),
    key            TEXT NOT NULL,
    at             BIGINT NOT NULL,
    step           BIGINT NOT NULL,
    value          DOUBLE PRECISION NOT NULL,
    is_nan         INTEGER NOT NULL,
    model          TEXT NOT NULL,
    dataset_name   TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (run, key, at, step, value, is_nan)
);

CREATE TABLE latest_metrics (
    run            TEXT NOT NULL REFERENCES tracked_runs (id),
    key            TEXT NOT NULL,
    at             BIGINT NOT NULL,
    step           BIGINT NOT NULL,
    value          DOUBLE PRECISION NOT NULL,
    is_nan         INTEGER NOT NULL,
    model          TEXT NOT NULL,
    dataset_name   TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (run, key)
);

CREATE TABLE tracked_inputs (
    run         TEXT NOT NULL REFERENCES tracked_runs (id),
    name        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source      TEXT NOT NULL,
    schema_json TEXT NOT NULL,
    profile     TEXT NOT NULL,
    context     TEXT NOT NULL, -- what the client used it for, such as training
    tags        TEXT NOT NULL,
    PRIMARY KEY (run, name, digest)
);

-- Logged models that a tracked run read ('in') or wrote ('out').
CREATE TABLE tracked_models (
    run       TEXT NOT NULL REFERENCES tracked_runs (id),
    direction TEXT NOT NULL,
    model     TEXT NOT NULL,
    step      BIGINT NOT NULL,
    PRIMARY KEY (run, direction, model)
);

CREATE TABLE artifacts (
    path   TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    size   BIGINT NOT NULL,
    at     BIGINT NOT NULL
);

CREATE TABLE logged_models (
    id          TEXT PRIMARY KEY,
    experiment  TEXT NOT NULL REFERENCES experiments (id),
    name        TEXT NOT NULL,
    type        TEXT NOT NULL,
    source_run  TEXT NOT NULL,
    status      TEXT NOT NULL,
    status_text TEXT NOT NULL,
    state       TEXT NOT NULL,
    actor       TEXT NOT NULL,
    origin_run  TEXT NOT NULL,
    origin_step TEXT NOT NULL,
    origin_cell TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX logged_models_experiment ON logged_models (experiment, created_at);
CREATE INDEX logged_models_run ON logged_models (source_run);

CREATE TABLE logged_model_params (
    model TEXT NOT NULL REFERENCES logged_models (id),
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
);

CREATE TABLE logged_model_tags (
    model TEXT NOT NULL REFERENCES logged_models (id),
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
);

CREATE TABLE logged_model_metrics (
    model          TEXT NOT NULL,
    key            TEXT NOT NULL,
    dataset_name   TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    run            TEXT NOT NULL,
    at             BIGINT NOT NULL,
    step           BIGINT NOT NULL,
    value          DOUBLE PRECISION NOT NULL,
    is_nan         INTEGER NOT NULL,
    PRIMARY KEY (model, key, dataset_name, dataset_digest, run)
);
