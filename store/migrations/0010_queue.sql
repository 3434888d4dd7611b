-- +goose Up
-- The queue of the engine: who works, how far each step of a run is, and what may begin.
CREATE TABLE engines (
    id         TEXT PRIMARY KEY,
    place      TEXT NOT NULL,               -- the state directory whose supervisor carries its tasks out
    beat       BIGINT NOT NULL DEFAULT 0,   -- counts up while it lives
    gone       INTEGER NOT NULL DEFAULT 0,
    started_at BIGINT NOT NULL
);
CREATE INDEX engines_place ON engines (place);

CREATE TABLE run_steps (
    run      BIGINT NOT NULL REFERENCES runs (number),
    step     TEXT NOT NULL,
    position INTEGER NOT NULL,              -- in the order of the plan
    state    TEXT NOT NULL,                 -- pending until all its cells have ended
    reason   TEXT NOT NULL DEFAULT '',
    cells    INTEGER NOT NULL,              -- that have not ended
    waits    INTEGER NOT NULL,              -- needs that have not ended
    PRIMARY KEY (run, step)
);

ALTER TABLE runs ADD COLUMN open_steps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN stop TEXT NOT NULL DEFAULT '';
ALTER TABLE step_runs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE step_runs ADD COLUMN ready_at BIGINT NOT NULL DEFAULT 0;  -- 0: it waits for others
ALTER TABLE step_runs ADD COLUMN scope TEXT NOT NULL DEFAULT '';
CREATE INDEX step_runs_ready ON step_runs (run, position) WHERE state = 'pending' AND ready_at > 0;
CREATE INDEX step_runs_owner ON step_runs (owner) WHERE state = 'running';

-- Runs of before have no steps to go on with.
UPDATE step_runs SET state = 'errored', reason = 'lost: lastro was replaced by a newer version in mid-run', ended_at = started_at WHERE state IN ('pending', 'running', 'waiting');
UPDATE runs SET state = 'errored', reason = 'lost: lastro was replaced by a newer version in mid-run', ended_at = started_at WHERE state IN ('pending', 'running', 'waiting');
