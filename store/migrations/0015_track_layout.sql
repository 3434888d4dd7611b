-- +goose Up
-- Tracked runs, keys and experiments get integer numbers, so that what there is
-- most of is narrow; store/track_layout.go says what each table is for.
ALTER TABLE experiments ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE experiments SET number = (SELECT COUNT(*) FROM experiments o WHERE o.created_at < experiments.created_at
    OR (o.created_at = experiments.created_at AND o.id <= experiments.id));
CREATE UNIQUE INDEX experiments_number ON experiments (number);

DROP INDEX tracked_runs_experiment;
DROP INDEX tracked_runs_origin;
ALTER TABLE tracked_runs RENAME TO old_runs;
ALTER TABLE tracked_params RENAME TO old_params;
ALTER TABLE tracked_tags RENAME TO old_tags;
ALTER TABLE tracked_inputs RENAME TO old_inputs;
ALTER TABLE tracked_models RENAME TO old_models;
ALTER TABLE latest_metrics RENAME TO old_latest;
ALTER TABLE metric_points RENAME TO old_points;

CREATE TABLE tracked_runs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    experiment  INTEGER NOT NULL, -- experiments.number
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
INSERT INTO tracked_runs (id, experiment, name, status, state, client_user, actor, origin_run, origin_step, origin_cell, started_at, ended_at, deleted_at)
    SELECT r.id, e.number, r.name, r.status, r.state, r.client_user, r.actor, r.origin_run, r.origin_step, r.origin_cell, r.started_at, r.ended_at, r.deleted_at
    FROM old_runs r JOIN experiments e ON e.id = r.experiment ORDER BY r.started_at, r.id;
CREATE INDEX tracked_runs_experiment ON tracked_runs (experiment, started_at DESC, id);
CREATE INDEX tracked_runs_origin ON tracked_runs (origin_run, origin_step) WHERE origin_run <> '';

CREATE TABLE tracked_keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key    TEXT NOT NULL UNIQUE
);
INSERT INTO tracked_keys (key) SELECT k.key FROM (
    SELECT key FROM old_params UNION SELECT key FROM old_tags UNION SELECT key FROM old_points UNION SELECT key FROM old_latest) AS k ORDER BY k.key;

CREATE TABLE tracked_params (
    run        INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    experiment INTEGER NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
INSERT INTO tracked_params (run, key, experiment, value)
    SELECT r.number, k.number, r.experiment, p.value
    FROM old_params p JOIN tracked_runs r ON r.id = p.run JOIN tracked_keys k ON k.key = p.key ORDER BY r.number, k.number;
CREATE INDEX tracked_params_value ON tracked_params (experiment, key, substr(value, 1, 200), run);

CREATE TABLE tracked_tags (
    run        INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    experiment INTEGER NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
INSERT INTO tracked_tags (run, key, experiment, value)
    SELECT r.number, k.number, r.experiment, t.value
    FROM old_tags t JOIN tracked_runs r ON r.id = t.run JOIN tracked_keys k ON k.key = t.key ORDER BY r.number, k.number;

CREATE TABLE latest_metrics (
    run            INTEGER NOT NULL,
    key            INTEGER NOT NULL,
    experiment     INTEGER NOT NULL,
    value          DOUBLE PRECISION NOT NULL, -- 0 with is_nan
    is_nan         INTEGER NOT NULL,
    step           BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    model          TEXT NOT NULL,
    dataset_name   TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
INSERT INTO latest_metrics (run, key, experiment, value, is_nan, step, at, model, dataset_name, dataset_digest)
    SELECT r.number, k.number, r.experiment, m.value, m.is_nan, m.step, m.at, m.model, m.dataset_name, m.dataset_digest
    FROM old_latest m JOIN tracked_runs r ON r.id = m.run JOIN tracked_keys k ON k.key = m.key ORDER BY r.number, k.number;
CREATE INDEX latest_metrics_value ON latest_metrics (experiment, key, is_nan, value, run);

-- The rows of old_points are moved here by Go: track_points_move.go.
CREATE TABLE metric_tail (
    run    INTEGER NOT NULL,
    number INTEGER NOT NULL, -- in order of arrival
    points INTEGER NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;

CREATE TABLE metric_chunks (
    run       INTEGER NOT NULL,
    key       INTEGER NOT NULL,
    first_pos BLOB NOT NULL,
    last_pos  BLOB NOT NULL,
    points    INTEGER NOT NULL,
    data      BLOB NOT NULL,
    PRIMARY KEY (run, key, first_pos)
);

CREATE TABLE tracked_inputs (
    run         INTEGER NOT NULL,
    name        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    experiment  INTEGER NOT NULL,
    source_type TEXT NOT NULL,
    source      TEXT NOT NULL,
    schema_json TEXT NOT NULL,
    profile     TEXT NOT NULL,
    context     TEXT NOT NULL, -- what the client used it for, such as training
    tags        TEXT NOT NULL,
    PRIMARY KEY (run, name, digest)
);
INSERT INTO tracked_inputs (run, name, digest, experiment, source_type, source, schema_json, profile, context, tags)
    SELECT r.number, i.name, i.digest, r.experiment, i.source_type, i.source, i.schema_json, i.profile, i.context, i.tags
    FROM old_inputs i JOIN tracked_runs r ON r.id = i.run;

CREATE TABLE tracked_models (
    run       INTEGER NOT NULL,
    direction TEXT NOT NULL,
    model     TEXT NOT NULL,
    step      BIGINT NOT NULL,
    PRIMARY KEY (run, direction, model)
);
INSERT INTO tracked_models (run, direction, model, step)
    SELECT r.number, m.direction, m.model, m.step FROM old_models m JOIN tracked_runs r ON r.id = m.run;

DROP TABLE old_params;
DROP TABLE old_tags;
DROP TABLE old_inputs;
DROP TABLE old_models;
DROP TABLE old_latest;
