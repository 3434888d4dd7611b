-- +goose Up
CREATE TABLE dataset_versions (
    dataset    TEXT NOT NULL,
    digest     TEXT NOT NULL,
    row_count  BIGINT NOT NULL, -- -1 = not counted
    bytes      BIGINT NOT NULL,
    files      BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    source     TEXT NOT NULL,
    commit_id  TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (dataset, digest)
);
CREATE INDEX dataset_versions_seen ON dataset_versions (dataset, seen_at);
CREATE INDEX dataset_versions_all ON dataset_versions (seen_at);

CREATE TABLE dataset_reports (
    dataset   TEXT NOT NULL,
    version   TEXT NOT NULL,
    check_key TEXT NOT NULL, -- contract, sensitive columns and the rules' meaning
    at        BIGINT NOT NULL,
    total     BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    report    TEXT NOT NULL, -- JSON
    PRIMARY KEY (dataset, version, check_key),
    FOREIGN KEY (dataset, version) REFERENCES dataset_versions (dataset, digest)
);
CREATE INDEX dataset_reports_at ON dataset_reports (dataset, at);
