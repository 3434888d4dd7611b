-- +goose Up
CREATE TABLE models (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    declared    INTEGER NOT NULL,
    protect     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    actor       TEXT NOT NULL
);

CREATE TABLE model_tags (
    model TEXT NOT NULL REFERENCES models (name) ON UPDATE CASCADE ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
);

-- Survives the model, so that a number means the same version for ever.
CREATE TABLE model_numbers (
    model TEXT PRIMARY KEY,
    last  INTEGER NOT NULL
);

CREATE TABLE model_versions (
    model        TEXT NOT NULL REFERENCES models (name) ON UPDATE CASCADE ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    digest       TEXT NOT NULL,
    source       TEXT NOT NULL,
    run          TEXT NOT NULL,
    step         TEXT NOT NULL,
    cell         TEXT NOT NULL,
    tracked_run  TEXT NOT NULL,
    logged_model TEXT NOT NULL,
    data         TEXT NOT NULL,
    commit_id    TEXT NOT NULL,
    lock         TEXT NOT NULL,
    description  TEXT NOT NULL,
    stage        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    actor        TEXT NOT NULL,
    PRIMARY KEY (model, number)
);
CREATE INDEX model_versions_digest ON model_versions (digest);
CREATE INDEX model_versions_tracked_run ON model_versions (tracked_run);
CREATE INDEX model_versions_logged_model ON model_versions (logged_model);
CREATE INDEX model_versions_run ON model_versions (run);

CREATE TABLE version_tags (
    model  TEXT NOT NULL,
    number INTEGER NOT NULL,
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (model, number, key),
    FOREIGN KEY (model, number) REFERENCES model_versions (model, number) ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE TABLE model_aliases (
    model  TEXT NOT NULL,
    alias  TEXT NOT NULL,
    number INTEGER NOT NULL,
    at     BIGINT NOT NULL,
    actor  TEXT NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY (model, number) REFERENCES model_versions (model, number) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX model_aliases_version ON model_aliases (model, number);

-- No foreign key: history outlives what it tells of.
CREATE TABLE alias_moves (
    seq         INTEGER PRIMARY KEY,
    model       TEXT NOT NULL,
    alias       TEXT NOT NULL,
    from_number INTEGER NOT NULL,
    to_number   INTEGER NOT NULL,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    why         TEXT NOT NULL
);
CREATE INDEX alias_moves_model ON alias_moves (model, alias, seq);
