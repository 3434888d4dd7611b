// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"database/sql"
	"regexp"
	"slices"

	"lastro/registry"
)

// of narrows a table of the registry to the workspace that is moved.
func (d *Database) of(table, where string) string {
	if d.has(table + ".workspace") {
		where += ` AND workspace = 'default'`
	}
	return ` FROM ` + table + ` WHERE ` + where
}

// Models implements Source.
func (d *Database) Models(ctx context.Context, fn func(registry.Model) error) error {
	list, err := whole(ctx, d, `SELECT name, COALESCE(description, ''), creation_time, last_updated_time`+d.of("registered_models", `1 = 1`)+` ORDER BY name`, nil,
		func(r *sql.Rows) (m registry.Model, err error) {
			var created, updated sql.NullInt64
			err = r.Scan(&m.Name, &m.Description, &created, &updated)
			m.CreatedAt, m.UpdatedAt, m.Tags = millis(created), millis(updated), map[string]string{}
			return m, err
		})
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := d.texts(ctx, `SELECT key, COALESCE(value, '')`+d.of("registered_model_tags", `name = ?`), m.Tags, m.Name); err != nil {
			return err
		}
		if d.has("registered_model_aliases.alias") {
			m.Aliases, err = whole(ctx, d, `SELECT alias, version`+d.of("registered_model_aliases", `name = ?`)+` ORDER BY alias`, []any{m.Name},
				func(r *sql.Rows) (registry.Alias, error) {
					a := registry.Alias{Model: m.Name}
					err := r.Scan(&a.Name, &a.Number)
					return a, err
				})
			if err != nil {
				return err
			}
		}
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}

// Versions implements Source. MLflow keeps a deleted version as a row with a
// stage of its own.
func (d *Database) Versions(ctx context.Context, model string, fn func(Version) error) error {
	list, err := whole(ctx, d, `SELECT version, COALESCE(description, ''), COALESCE(user_id, ''), COALESCE(current_stage, 'None'), COALESCE(source, ''),
		COALESCE(run_id, ''), COALESCE(status, 'READY'), COALESCE(status_message, ''), `+d.column("model_versions", "storage_location", "NULL")+`, creation_time, last_updated_time`+
		d.of("model_versions", `name = ? AND current_stage <> 'Deleted_Internal'`)+` ORDER BY version`, []any{model}, func(r *sql.Rows) (Version, error) {
		var v Version
		var status, message string
		var stored sql.NullString
		var created, updated sql.NullInt64
		err := r.Scan(&v.Number, &v.Description, &v.User, &v.Stage, &v.Source, &v.TrackedRun, &status, &message, &stored, &created, &updated)
		v.Model, v.CreatedAt, v.UpdatedAt, v.Tags = model, millis(created), millis(updated), map[string]string{}
		v.Root = v.Source
		if stored.String != "" {
			v.Root = stored.String
		}
		if status != "READY" {
			v.Unready = status + " " + message
		}
		return v, err
	})
	if err != nil {
		return err
	}
	for _, v := range list {
		if err := d.texts(ctx, `SELECT key, COALESCE(value, '')`+d.of("model_version_tags", `name = ? AND version = ?`), v.Tags, model, v.Number); err != nil {
			return err
		}
		v.finish()
		if err := fn(v); err != nil {
			return err
		}
	}
	return nil
}

var modelSource = regexp.MustCompile(`^models:/(m-[0-9a-f]{32})(?:/|$)`)

// TagPrompt marks a model, or a version, that is a prompt: it has no files.
const TagPrompt = "mlflow.prompt.is_prompt"

// finish derives what no source writes out.
func (v *Version) finish() {
	if m := modelSource.FindStringSubmatch(v.Source); m != nil {
		v.LoggedModel = m[1]
	}
	if v.Tags[TagPrompt] != "" {
		v.Root = ""
	}
	slices.Sort(v.Aliases)
}
