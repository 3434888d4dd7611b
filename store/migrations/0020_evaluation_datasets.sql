-- +goose Up
CREATE TABLE evaluation_datasets (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    schema_json TEXT NOT NULL,
    profile     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    created_by  TEXT NOT NULL, -- as the client says
    updated_by  TEXT NOT NULL,
    actor       TEXT NOT NULL,
    origin_run  TEXT NOT NULL,
    origin_step TEXT NOT NULL,
    origin_cell TEXT NOT NULL
);
CREATE INDEX evaluation_datasets_time ON evaluation_datasets (created_at DESC, id);

CREATE TABLE evaluation_tags (
    dataset TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (dataset, key)
);

CREATE TABLE evaluation_experiments (
    dataset    TEXT NOT NULL,
    experiment TEXT NOT NULL,
    number     BIGINT NOT NULL, -- in the order in which they were added
    PRIMARY KEY (dataset, experiment)
);
CREATE INDEX evaluation_experiments_experiment ON evaluation_experiments (experiment, dataset);

CREATE TABLE evaluation_records (
    id           TEXT PRIMARY KEY,
    dataset      TEXT NOT NULL,
    input_hash   TEXT NOT NULL,
    inputs       TEXT NOT NULL, -- JSON, as the others; NULL = none
    outputs      TEXT,
    expectations TEXT,
    tags         TEXT,
    source       TEXT,
    source_id    TEXT NOT NULL,
    source_type  TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    created_by   TEXT NOT NULL,
    updated_by   TEXT NOT NULL
);
CREATE UNIQUE INDEX evaluation_records_inputs ON evaluation_records (dataset, input_hash);
CREATE INDEX evaluation_records_time ON evaluation_records (dataset, created_at, id);
