-- +goose Up
-- A row is written whole, and a plan may be long: what each step changes of a
-- run stands apart from what never changes.
CREATE TABLE run_bodies (
    run  BIGINT PRIMARY KEY REFERENCES runs (number),
    body TEXT NOT NULL                      -- JSON: spec, git, event, params, datasets
);
INSERT INTO run_bodies (run, body) SELECT number, body FROM runs;
ALTER TABLE runs DROP COLUMN body;

-- How many processors' worth of an engine a cell takes.
ALTER TABLE step_runs ADD COLUMN weight INTEGER NOT NULL DEFAULT 1;

-- Each index holds the rows that its query asks for, and no transition of others touches it.
DROP INDEX step_runs_key;
DROP INDEX step_runs_last;
CREATE INDEX step_runs_hits ON step_runs (cache_key, ended_at) WHERE state = 'succeeded';
CREATE INDEX step_runs_keyed ON step_runs (project, step, cell_values, ended_at) WHERE cache_key <> '';
DROP INDEX step_runs_owner;                 -- who owns what is asked when an engine comes or goes
-- Cells that wait for others of their step (parallel) have ready_at = -1.
CREATE INDEX step_runs_held ON step_runs (run, step, cell) WHERE ready_at < 0;
UPDATE step_runs SET ready_at = -1 WHERE state = 'pending' AND ready_at = 0;

-- Who registers and decides on what a run made, where several servers could.
CREATE TABLE run_conclusions (
    run   BIGINT PRIMARY KEY REFERENCES runs (number),
    owner TEXT NOT NULL,                    -- the process that does it
    beat  BIGINT NOT NULL DEFAULT 0,        -- counts up while it lives
    done  INTEGER NOT NULL DEFAULT 0
);
INSERT INTO run_conclusions (run, owner, done) SELECT number, '', 1 FROM runs WHERE ended_at > 0;
