-- +goose Up
CREATE TABLE decisions (
    number  BIGINT PRIMARY KEY,
    id      TEXT NOT NULL UNIQUE,
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    subject TEXT NOT NULL,
    verdict TEXT NOT NULL,
    run     TEXT NOT NULL,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    digest  TEXT NOT NULL UNIQUE,
    frozen  TEXT NOT NULL
);
CREATE INDEX decisions_model ON decisions (model, version, number);
CREATE INDEX decisions_subject ON decisions (model, subject, number);
CREATE INDEX decisions_verdict ON decisions (verdict, number);

CREATE TABLE waivers (
    id       BIGINT PRIMARY KEY,
    decision TEXT NOT NULL REFERENCES decisions (id),
    bundle   TEXT NOT NULL,
    rule     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    until    BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    at       BIGINT NOT NULL,
    seen     TEXT NOT NULL
);
CREATE INDEX waivers_decision ON waivers (decision, id);
