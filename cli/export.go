// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"path/filepath"

	"lastro"
	"lastro/app"
	"lastro/data"
)

type exportCmd struct {
	Runs   exportRunsCmd   `cmd:"" help:"Write tracked runs to CSV, Parquet or a notebook."`
	Mlflow exportMlflowCmd `cmd:"" name:"mlflow" help:"Write everything as a database that MLflow's server opens."`
}

type exportRunsCmd struct {
	trackedChoice
	Format string `enum:"csv,parquet,ipynb" default:"csv" help:"csv, parquet, or ipynb: a notebook that loads the same runs by MLflow's client and draws them."`
	Output string `short:"o" placeholder:"FILE" help:"File to write; default for CSV: standard output."`
	Raw    bool   `help:"CSV: leave texts that begin with = + - @ as they are, for programs; a spreadsheet would carry them out."`
}

func (*exportRunsCmd) Help() string {
	return `One row a tracked run: what it is, its newest metrics, its params, and the tags that people wrote. In CSV a text that begins
with = + - or @ and is no number gets an apostrophe before it, so that no spreadsheet carries it out; --raw leaves it out. Parquet
has types: metrics are numbers, times are timestamps, what a run does not have is null.

Examples:
  lastro export runs > runs.csv
  lastro export runs "metrics.auc > 0.8" --experiment wine --format parquet -o wine.parquet
  lastro export runs --experiment wine --format ipynb -o wine.ipynb`
}

func (c *exportRunsCmd) Run(env *Env) error {
	e := app.TrackedExport{TrackedSearch: c.search(), Format: c.Format, Out: c.file(env), Raw: c.Raw}
	if err := e.Check(); err != nil {
		return err
	}
	if e.Out == "" && env.JSON {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0787", Msg: "--json prints one document, and the CSV would stand in it", Hint: "lastro export runs --output runs.csv --json"}
	}
	return env.reading(func(h *app.House) error {
		if c.Format == app.ExportNotebook {
			return c.notebook(env, h, e)
		}
		rows, err := h.ExportTracked(env.Ctx, e, env.Stdout)
		if err != nil || e.Out == "" {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{"file": e.Out, "rows": rows})
		}
		env.say("%s %s: %s tracked runs", env.Out.style("succeeded", "✓"), c.Output, data.Thousands(rows))
		return nil
	})
}

// file is where the table goes, "" for standard output.
func (c *exportRunsCmd) file(env *Env) string {
	if c.Output == "" || c.Output == "-" {
		return ""
	}
	if filepath.IsAbs(c.Output) {
		return c.Output
	}
	return filepath.Join(env.Dir, c.Output)
}

func (c *exportRunsCmd) notebook(env *Env, h *app.House, e app.TrackedExport) error {
	n := app.NotebookExport{TrackedSearch: e.TrackedSearch, URI: "http://127.0.0.1:7070"}
	if server, ok := app.Connect(env.paths()); ok {
		n.URI = server.URL()
	}
	if _, err := h.Query(env.Ctx, e.TrackedSearch); err != nil { // a mistake is said now, not in the notebook
		return err
	}
	for _, name := range e.Experiments {
		found, err := h.FindExperiment(env.Ctx, name)
		if err != nil {
			return err
		}
		n.Names = append(n.Names, found.Name)
	}
	if err := app.ReplaceFile(e.Out, func(w io.Writer) error { return app.WriteNotebook(w, n) }); err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]any{"file": e.Out})
	}
	env.say("%s %s", env.Out.style("succeeded", "✓"), c.Output)
	env.say("\nNext\n  %s", fmt.Sprintf("lastro up, then jupyter lab %s", c.Output))
	return nil
}
