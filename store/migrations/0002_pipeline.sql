-- +goose Up
-- What code a run read: most runs read the same as the one before.
CREATE TABLE run_code (
    digest TEXT PRIMARY KEY,
    files  TEXT NOT NULL                    -- JSON: content of each file by path
);

CREATE TABLE runs (
    number      BIGINT PRIMARY KEY,
    project     TEXT NOT NULL,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    plan_digest TEXT NOT NULL,
    actor       TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL DEFAULT 0,
    code        TEXT NOT NULL REFERENCES run_code (digest),
    body        TEXT NOT NULL               -- JSON: spec, git, event, params, datasets
);
CREATE INDEX runs_code ON runs (code);
CREATE INDEX runs_project ON runs (project, number);
CREATE INDEX runs_state ON runs (state, number);

CREATE TABLE step_runs (
    run         BIGINT NOT NULL REFERENCES runs (number),
    step        TEXT NOT NULL,
    cell        INTEGER NOT NULL DEFAULT 0,
    attempt     INTEGER NOT NULL,
    position    INTEGER NOT NULL,           -- order of first recording within the run
    project     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    cell_values TEXT NOT NULL DEFAULT '',   -- canonical JSON
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    cache_key   TEXT NOT NULL DEFAULT '',
    cached_from BIGINT NOT NULL DEFAULT 0,
    selected    INTEGER NOT NULL DEFAULT 0,
    started_at  BIGINT NOT NULL DEFAULT 0,
    ended_at    BIGINT NOT NULL DEFAULT 0,
    body        TEXT NOT NULL,              -- JSON: ingredients, inputs, outputs, facts, report, log, error, usage
    PRIMARY KEY (run, step, cell, attempt)
);
CREATE INDEX step_runs_key ON step_runs (cache_key, state, ended_at);
CREATE INDEX step_runs_last ON step_runs (project, step, cell_values, ended_at);
CREATE INDEX step_runs_order ON step_runs (run, position);
