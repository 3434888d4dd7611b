-- +goose Up
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    verb    TEXT NOT NULL,
    subject TEXT NOT NULL,
    data    TEXT NOT NULL DEFAULT ''
);
CREATE INDEX events_subject ON events (subject, seq);
CREATE INDEX events_verb ON events (verb, seq);
