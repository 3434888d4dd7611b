// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/project"
	"lastro/transfer"
)

type importCmd struct {
	Mlflow importMlflowCmd `cmd:"" name:"mlflow" help:"Bring what an MLflow server, or another lastro, holds."`
}

// moveFlags are those of import and export.
type moveFlags struct {
	Experiment  []string `placeholder:"NAME" sep:"none" help:"Only this experiment, by name or id, without the registry; may be repeated."`
	NoArtifacts bool     `help:"Leave the artifacts out; versions of models need them."`
	NoRegistry  bool     `help:"Leave models, versions and aliases out."`
	NoTraces    bool     `help:"Leave traces out."`
	Verify      string   `enum:"full,quick,off" default:"full" help:"Compare both ends afterwards: full reads every byte, quick only names and sizes of artifacts, off nothing."`
	Data        string   `placeholder:"DIR" help:"State directory; default: PROJECT/.lastro."`
}

type importMlflowCmd struct {
	Source string `arg:"" name:"SOURCE" help:"Address of a running server, or MLflow's SQLite file (mlflow.db or sqlite:///FILE)."`
	moveFlags
	Artifacts     string   `placeholder:"DIR" help:"Folder of the artifacts of a database file; default: mlartifacts or mlruns beside it."`
	Rename        []string `placeholder:"ID=NAME" sep:"none" help:"Name that an experiment gets here; may be repeated."`
	Renumber      []string `placeholder:"ID=ID" sep:"none" help:"Id that an experiment gets here; may be repeated."`
	RenameModel   []string `placeholder:"OLD=NEW" sep:"none" help:"Name that a model gets here; may be repeated."`
	SkipConflicts bool     `help:"Leave out what has a name or id that is taken here, and bring the rest."`
	Again         bool     `help:"Bring also what seems unchanged since it was brought."`
}

func (*importMlflowCmd) Help() string {
	return `Experiments, runs with whole metric histories, datasets, logged models, models with versions and aliases, traces and artifacts come with the
ids that they have. It may run while both servers work. Given again it goes on where it was, and brings what is new since. Afterwards
everything is compared with the source; a difference is exit code 1. Aliases and stages that a lastro.yaml protects here do not move.

A server that asks who you are: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. The database file is
much faster than the server's address.

Examples:
  lastro import mlflow mlflow.db                        with mlartifacts or mlruns beside it
  lastro import mlflow sqlite:////srv/mlflow/mlflow.db --artifacts /srv/mlflow/mlartifacts
  lastro import mlflow http://mlflow.example:5000
  lastro import mlflow http://other-lastro:7070         between two lastro servers
  lastro import mlflow mlflow.db --experiment churn --rename 3="churn (old server)"`
}

func (c *importMlflowCmd) Run(env *Env) error {
	o, err := c.plan(env)
	if err != nil {
		return err
	}
	return env.moving("import", c.Data, func(h *app.House) error {
		show := newMoving(env)
		o.Tell, o.Count = show.tell, show.count
		r, err := h.ImportMLflow(env.Ctx, c.Source, o)
		show.end()
		return reportMove(env, r, err, "imported")
	})
}

func (c *importMlflowCmd) plan(*Env) (o app.MovePlan, err error) {
	o = c.moveFlags.options()
	o.Artifacts, o.GoOn, o.Again = c.Artifacts, c.SkipConflicts, c.Again
	var errs [3]error
	o.Rename, errs[0] = transfer.ParsePairs("rename", c.Rename)
	o.Renumber, errs[1] = transfer.ParsePairs("renumber", c.Renumber)
	o.RenameModels, errs[2] = transfer.ParsePairs("rename-model", c.RenameModel)
	return o, errors.Join(errs[:]...)
}

func (f moveFlags) options() app.MovePlan {
	return app.MovePlan{Plan: transfer.Plan{Experiments: f.Experiment, NoArtifacts: f.NoArtifacts, NoRegistry: f.NoRegistry || f.NoArtifacts, NoTraces: f.NoTraces},
		Verify: f.Verify, By: "user:local"}
}

// moving opens the state for a command that writes it beside whoever holds it.
func (e *Env) moving(command, data string, f func(*app.House) error) error {
	paths := e.paths()
	if data != "" {
		dir, err := filepath.Abs(data)
		if err != nil {
			return err
		}
		paths.State = dir
	}
	p, err := project.Load(e.Dir)
	if err != nil {
		p = nil
	}
	return e.with(app.OpenOptions{Project: p, Paths: paths, Command: command, Beside: true, Log: e.log(0)}, f)
}

// movingLine shows how far a transfer is: on a terminal in one line, elsewhere
// as a line every ten seconds.
type movingLine struct {
	env   *Env
	what  string
	last  time.Time
	shown bool
}

func newMoving(env *Env) *movingLine { return &movingLine{env: env, last: time.Now()} }

func (m *movingLine) tell(what string) { m.what = what }

func (m *movingLine) count(c transfer.Counts) {
	every := 10 * time.Second
	if m.env.Term.TTY {
		every = 200 * time.Millisecond
	}
	if m.env.Quiet || time.Since(m.last) < every {
		return
	}
	m.last = time.Now()
	var parts []string
	for _, kind := range transfer.Kinds {
		if n := c[kind]; n.Moved+n.There > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", thousands(n.Moved+n.There), kind))
		}
	}
	line := fmt.Sprintf("%s: %s", m.what, strings.Join(parts, ", "))
	if !m.env.Term.TTY {
		m.env.note("%s", line)
		return
	}
	m.shown = true
	fmt.Fprintf(m.env.Stderr, "\r\x1b[2K%.*s", 120, line)
}

// end takes the line away.
func (m *movingLine) end() {
	if m.shown {
		fmt.Fprint(m.env.Stderr, "\r\x1b[2K")
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// mostLines is how many skips and differences are shown; --json has all.
const mostLines = 20

func reportMove(env *Env, r transfer.Result, err error, word string) error {
	if env.JSON && err == nil {
		if perr := env.printJSON(r); perr != nil {
			return perr
		}
	}
	if !env.JSON && r.Source.Where != "" && r.Counts != nil {
		sayMove(env, r, word)
	}
	if err != nil {
		return err
	}
	if n := len(r.Differences); n > 0 {
		e := &lastro.Error{Code: lastro.EFailed, ID: "L0769", Msg: fmt.Sprintf("%d parts are not the same at both ends", n),
			Hint: "what was written to the source meanwhile comes when the command is given again; --again brings everything once more"}
		for _, d := range r.Differences[:min(n, mostLines)] {
			e.Notes = append(e.Notes, d.What+": "+d.Part)
		}
		if env.JSON {
			return reported{e}
		}
		return e
	}
	return nil
}

func sayMove(env *Env, r transfer.Result, word string) {
	env.say("%s (%s)", r.Source.Where, r.Source.Software)
	rows := [][]string{{"", "found", word, "already there", "skipped"}}
	for _, kind := range transfer.Kinds {
		n, ok := r.Counts[kind]
		if !ok {
			continue
		}
		name := kind
		if n.Bytes > 0 {
			name += ", " + bytesText(n.Bytes)
		}
		rows = append(rows, []string{name, thousands(n.Found), thousands(n.Moved), thousands(n.There), thousands(n.Skipped)})
	}
	for _, line := range table(rows) {
		env.say("  %s", line)
	}
	for i, s := range r.Skips {
		if i == mostLines {
			env.say("  ! %d more; --json lists all", len(r.Skips)-i)
			break
		}
		env.say("  %s %s: %s", symbol("warning"), s.What, s.Why)
	}
	if len(r.Verified) > 0 && len(r.Differences) == 0 {
		var parts []string
		for _, kind := range transfer.Kinds {
			if n := r.Verified[kind]; n > 0 {
				parts = append(parts, thousands(n)+" "+kind)
			}
		}
		env.say("%s the same at both ends: %s", env.Out.style("succeeded", symbol("succeeded")), strings.Join(parts, ", "))
	}
}
