-- +goose Up
-- box is an age file in base64; of a removed secret it is empty, and the row
-- stays so that its numbers are not given again.
CREATE TABLE secrets (
    name      TEXT PRIMARY KEY,
    version   BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    box       TEXT NOT NULL,
    set_at    BIGINT NOT NULL,
    set_by    TEXT NOT NULL
);
