-- +goose Up
-- The tokens of steps are signed now and not stored.
DELETE FROM tokens WHERE kind = 'step';
DROP INDEX tokens_run;
ALTER TABLE tokens DROP COLUMN run;
ALTER TABLE tokens DROP COLUMN step;
ALTER TABLE tokens DROP COLUMN cell;
