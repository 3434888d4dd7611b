// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"lastro"
	"lastro/app"
	"lastro/data"
	"lastro/project"
)

type dataCmd struct {
	Check   dataCheckCmd   `cmd:"" help:"Check a dataset, or a bare file, against its contract."`
	Propose dataProposeCmd `cmd:"" help:"Edit the contract so that the data passes, on a branch of its own."`
	Drift   dataDriftCmd   `cmd:"" help:"Compare the columns of two files."`
}

type dataCheckCmd struct {
	Dataset  string `arg:"" name:"DATASET" help:"A dataset of lastro.yaml, or a file with --contract."`
	Contract string `placeholder:"FILE" help:"ODCS contract for a bare file."`
}

func (*dataCheckCmd) Help() string {
	return `Examples:
  lastro data check census                                     as a run would
  lastro data check new.parquet --contract contracts/c.yaml    a bare file, outside any project
Exit 0: every check passed, 1: a check failed.`
}

func (c *dataCheckCmd) Run(env *Env) error {
	var report data.Report
	var err error
	if c.Contract != "" {
		report, err = app.CheckFile(env.Ctx, env.Dir, c.Dataset, c.Contract)
	} else {
		err = env.dataset(c.Dataset, func(h *app.House, _ data.Spec) error {
			report, err = h.CheckDataset(env.Ctx, c.Dataset)
			return err
		})
	}
	if err != nil {
		return err
	}
	return printReport(env, report)
}

// dataset opens the project and finds one of its datasets.
func (e *Env) dataset(name string, f func(*app.House, data.Spec) error) error {
	p, err := e.project()
	if err != nil {
		return err
	}
	spec, ok := p.Dataset(name)
	if !ok {
		return unknownDataset(p, name)
	}
	return e.writing("data", p, func(h *app.House) error { return f(h, spec) })
}

func unknownDataset(p *project.Project, name string) error {
	var names []string
	for _, d := range p.Datasets {
		names = append(names, d.Name)
	}
	e := &lastro.Error{Code: lastro.ENotFound, ID: "L0204", Msg: fmt.Sprintf("lastro.yaml declares no dataset %q", name), Hint: "it declares " + strings.Join(names, ", ")}
	if near := lastro.Nearest(name, names); near != "" {
		e.Hint = "did you mean " + near + "?"
	}
	return e
}

func printReport(env *Env, r data.Report) error {
	failed := r.Failed()
	var failure error
	if len(failed) > 0 {
		failure = reported{&lastro.Error{Code: lastro.EFailed, Msg: "the contract is broken"}}
	}
	if env.JSON {
		if err := env.printJSON(r); err != nil {
			return err
		}
		return failure
	}
	env.say("%s   %s rows × %d   %s   %.1f s", r.Dataset, data.Thousands(r.Rows), r.Columns, r.File, r.Seconds)
	passed := len(r.Checks) - len(failed)
	env.say("  %s %s", env.Out.style("succeeded", "✓"), fmt.Sprintf("%d checks passed", passed))
	for _, c := range failed {
		env.say("  %s %-28s %s", env.Out.style("failed", "✗"), c.Name, c.Message)
	}
	if failure != nil {
		env.say("\nNext")
		env.say("  mend the data, or, when the change is right:")
		env.say("  lastro data propose %s      edits the contract on a branch", r.Dataset)
	}
	return failure
}

type dataProposeCmd struct {
	Dataset string `arg:"" name:"DATASET"`
	DryRun  bool   `help:"Show the change and keep it to yourself."`
}

func (*dataProposeCmd) Help() string {
	return `Examples:
  lastro data propose census --dry-run   what would be changed
  lastro data propose census             the change as a commit on the branch data/census-DIGEST

Nothing on your branch changes: read the proposal, then merge it.`
}

func (c *dataProposeCmd) Run(env *Env) error {
	return env.dataset(c.Dataset, func(h *app.House, _ data.Spec) error {
		p, err := h.Propose(env.Ctx, c.Dataset, c.DryRun)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(p)
		}
		if len(p.Changes) == 0 {
			env.say("every check passes: there is nothing to propose")
			return nil
		}
		for _, ch := range p.Changes {
			env.say("  %s", ch)
		}
		env.say("")
		for _, line := range strings.Split(strings.TrimRight(p.Diff, "\n"), "\n") {
			env.say("%s", diffLine(env, line))
		}
		if p.Branch != "" {
			env.say("\n%s on branch %s (commit %s)", env.Out.style("succeeded", "✓ proposed"), p.Branch, p.Commit[:min(7, len(p.Commit))])
			env.say("\nNext\n  git merge %s      accept it, then lastro run", p.Branch)
		}
		return nil
	})
}

func diffLine(env *Env, line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return env.Out.style("succeeded", line)
	case strings.HasPrefix(line, "-"):
		return env.Out.style("failed", line)
	}
	return line
}

type dataDriftCmd struct {
	Reference string   `arg:"" name:"REF" help:"File or folder to compare with."`
	Current   string   `arg:"" name:"CUR" help:"File or folder that may have drifted."`
	Test      string   `enum:"auto,psi,ks,js,wasserstein,chi2" default:"auto" help:"auto, psi, ks, js, wasserstein or chi2; auto is PSI for every column."`
	Columns   []string `placeholder:"NAME" help:"Only these."`
}

func (*dataDriftCmd) Help() string {
	return `Example:
  lastro data drift data/flights/2013-01.parquet data/flights/2013-03.parquet`
}

func (c *dataDriftCmd) Run(env *Env) error {
	columns, err := app.Drift(env.Ctx, app.DriftRequest{Dir: env.Dir, Reference: c.Reference, Current: c.Current, Test: c.Test, Columns: c.Columns})
	if err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]any{"columns": columns})
	}
	rows := [][]string{{"column", "kind", "test", "value", "p", "noise"}}
	for _, d := range columns {
		if d.Error != "" {
			rows = append(rows, []string{d.Name, d.Kind, d.Test, d.Error})
			continue
		}
		rows = append(rows, []string{d.Name, d.Kind, d.Test, fmt.Sprintf("%.4f", d.Value), fmt.Sprintf("%.3g", d.P), fmt.Sprintf("%.4f", d.Noise)})
	}
	for _, line := range table(rows) {
		env.say("%s", strings.TrimRight(line, " "))
	}
	return nil
}
