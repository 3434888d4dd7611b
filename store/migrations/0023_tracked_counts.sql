-- +goose Up
-- So that an experiment's runs under way are counted without reading all of them.
CREATE INDEX tracked_runs_open ON tracked_runs (experiment) WHERE state = 'active' AND ended_at = 0;
