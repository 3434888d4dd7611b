-- +goose Up
-- Traces with their spans and assessments; store/trace.go says what each table is for.
CREATE TABLE traces (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    experiment      INTEGER NOT NULL, -- experiments.number
    state           TEXT NOT NULL,
    at              BIGINT NOT NULL,
    took            BIGINT,           -- microseconds; NULL = unknown
    name            TEXT,
    client_id       TEXT,
    request         TEXT,
    response        TEXT,
    session         TEXT,
    input_tokens    BIGINT,
    output_tokens   BIGINT,
    total_tokens    BIGINT,
    cache_read      BIGINT,
    cache_write     BIGINT,
    cache_write_one BIGINT,
    input_cost      DOUBLE PRECISION,
    output_cost     DOUBLE PRECISION,
    total_cost      DOUBLE PRECISION,
    finalized       INTEGER NOT NULL,
    has_spans       INTEGER NOT NULL,
    actor           TEXT NOT NULL,
    origin_run      TEXT NOT NULL,
    origin_step     TEXT NOT NULL,
    origin_cell     TEXT NOT NULL
);
CREATE INDEX traces_time ON traces (experiment, at DESC, id);
CREATE INDEX traces_session ON traces (session, experiment) WHERE session IS NOT NULL;

CREATE TABLE trace_pairs (
    trace      INTEGER NOT NULL,
    kind       INTEGER NOT NULL, -- 0 metadata, 1 tag
    key        TEXT NOT NULL,
    experiment INTEGER NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (trace, kind, key)
) WITHOUT ROWID;
CREATE INDEX trace_pairs_value ON trace_pairs (experiment, kind, key, substr(value, 1, 100), trace);

CREATE TABLE trace_links (
    trace  INTEGER NOT NULL,
    kind   INTEGER NOT NULL, -- 0 tracked run, 1 version of a prompt
    target TEXT NOT NULL,
    PRIMARY KEY (trace, kind, target)
) WITHOUT ROWID;
CREATE INDEX trace_links_target ON trace_links (kind, target, trace);

CREATE TABLE spans (
    trace       INTEGER NOT NULL,
    id          TEXT NOT NULL,
    experiment  INTEGER NOT NULL,
    parent      TEXT NOT NULL,
    name        TEXT NOT NULL,
    type        TEXT NOT NULL,
    status      TEXT NOT NULL,
    started     BIGINT NOT NULL, -- nanoseconds, as OpenTelemetry has it
    ended       BIGINT NOT NULL, -- 0 = not ended
    model       TEXT,
    provider    TEXT,
    tokens      TEXT,            -- JSON of what a language model took
    input_cost  DOUBLE PRECISION,
    output_cost DOUBLE PRECISION,
    total_cost  DOUBLE PRECISION,
    PRIMARY KEY (trace, id)
) WITHOUT ROWID;
CREATE INDEX spans_name ON spans (experiment, substr(name, 1, 100), trace);

CREATE TABLE span_values (
    trace      INTEGER NOT NULL,
    span       TEXT NOT NULL,
    key        TEXT NOT NULL,
    experiment INTEGER NOT NULL,
    value      TEXT NOT NULL,
    whole      INTEGER NOT NULL, -- 0: the value was cut
    PRIMARY KEY (trace, span, key)
) WITHOUT ROWID;
CREATE INDEX span_values_value ON span_values (experiment, key, substr(value, 1, 100), trace);

CREATE TABLE span_bodies (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    trace  INTEGER NOT NULL,
    hash   TEXT NOT NULL,
    blob   TEXT NOT NULL, -- the content store's digest, '' = bytes
    bytes  BLOB NOT NULL
);
CREATE UNIQUE INDEX span_bodies_trace ON span_bodies (trace, hash);

CREATE TABLE assessments (
    trace       INTEGER NOT NULL,
    id          TEXT NOT NULL,
    experiment  INTEGER NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    value       TEXT NOT NULL, -- JSON
    error       TEXT,          -- JSON
    number      DOUBLE PRECISION,
    is_numeric  INTEGER NOT NULL,
    source_type TEXT NOT NULL,
    source_id   TEXT NOT NULL,
    run         TEXT NOT NULL,
    span        TEXT NOT NULL,
    rationale   TEXT,
    metadata    TEXT NOT NULL, -- JSON, '' = none
    session     INTEGER NOT NULL,
    overrides   TEXT NOT NULL,
    valid       INTEGER NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (trace, id)
);
CREATE INDEX assessments_name ON assessments (experiment, kind, name, trace);
