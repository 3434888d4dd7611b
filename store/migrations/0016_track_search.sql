-- +goose Up
-- What a search of runs reads in order: see store/track_find.go. On PostgreSQL
-- the index holds the beginning of a value only (dialect.indexed).
DROP INDEX tracked_params_value;
CREATE INDEX tracked_params_value ON tracked_params (experiment, key, value, run);
CREATE INDEX tracked_runs_deleted ON tracked_runs (experiment, number) WHERE state <> 'active';
CREATE INDEX tracked_inputs_experiment ON tracked_inputs (experiment, name, digest, context, run);

-- The newest versions, and the newest of each stage.
CREATE INDEX model_versions_updated ON model_versions (updated_at DESC, model, number DESC);
CREATE INDEX model_versions_stage ON model_versions (model, stage, number);
CREATE INDEX models_updated ON models (updated_at DESC, name);
