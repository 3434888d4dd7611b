-- +goose Up
-- What was moved here from another server, and how its source described it
-- then, so that moving it again goes on where it was and finds what has changed.
CREATE TABLE moved (
    kind   TEXT NOT NULL, -- of a reference: experiment, trackedrun, loggedmodel, model, trace
    id     TEXT NOT NULL,
    source TEXT NOT NULL, -- where it was, without user and password
    mark   TEXT NOT NULL, -- '' while a part of it is still missing
    at     BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
