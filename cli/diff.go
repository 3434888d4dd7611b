// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"math"
	"strings"

	"lastro"
	"lastro/app"
	"lastro/data"
	"lastro/lineage"
	"lastro/pipeline"
)

type diffCmd struct {
	From string `arg:"" optional:"" name:"RUN1" help:"The earlier run; default: the one before the newest."`
	To   string `arg:"" optional:"" name:"RUN2" help:"The later run; default: the newest."`
	Code bool   `help:"Also print the lines of the code that changed."`
}

func (*diffCmd) Help() string {
	return `What went in is compared first, in the order in which it can matter: code, data, params, packages, machine; then the
effect, the metrics.

Examples:
  lastro diff                 the newest run with the one before it
  lastro diff 138 142
  lastro diff 138 142 --code  with the lines that changed
  lastro diff 138 --json      #138 with the newest

Exit: 0 whatever differs`
}

func (c *diffCmd) Run(env *Env) error {
	return env.reading(func(h *app.House) error {
		from, to, err := c.runs(env, h)
		if err != nil {
			return err
		}
		d, err := h.Diff(env.Ctx, from, to, c.Code)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(d)
		}
		machine, err := h.Machine(env.Ctx, to)
		if err != nil {
			return err
		}
		printDiff(env, d, machine)
		if c.Code {
			printPatch(env, d)
		}
		return nil
	})
}

func (c *diffCmd) runs(env *Env, h *app.House) (from, to int64, err error) {
	if c.From != "" {
		if from, err = parseRun(c.From); err != nil {
			return 0, 0, err
		}
	}
	if c.To != "" {
		if to, err = parseRun(c.To); err != nil {
			return 0, 0, err
		}
	}
	if from != 0 && to != 0 {
		return from, to, nil
	}
	newest, err := h.Runs.Runs(env.Ctx, pipeline.RunFilter{Limit: 2})
	if err != nil {
		return 0, 0, err
	}
	if len(newest) == 0 || (from == 0 && len(newest) < 2) {
		return 0, 0, &lastro.Error{Code: lastro.ENotFound, ID: "L0666", Msg: fmt.Sprintf("there is nothing to compare: %s so far", count(len(newest), "run")), Hint: "lastro run"}
	}
	to = newest[0].Number
	if from == 0 {
		from = newest[1].Number
	}
	return from, to, nil
}

func printDiff(env *Env, d lineage.Difference, machine string) {
	env.say("%s   what changed, in the order it can matter\n", env.Out.style("bold", fmt.Sprintf("#%d → #%d", d.From, d.To)))
	part(env, "code", codeLines(d))
	part(env, "data", dataLines(d))
	part(env, "params", changeLines(d.Params))
	part(env, "packages", changeLines(d.Packages))
	if lines := changeLines(d.Machine); len(lines) > 0 || machine == "" {
		part(env, "machine", lines)
	} else {
		part(env, "machine", []string{env.Out.style("muted", "same ("+machine+")")})
	}
	printMetrics(env, d)
	for _, n := range d.Notes {
		env.say("\n  %s", env.Out.style("muted", n))
	}
	env.say("")
	switch d.First {
	case "":
		env.say("Nothing differs: the same code, data, params and packages gave the same metrics.")
	case "metrics":
		env.say("Only the metrics differ: with the same code, data, params and packages the work is not deterministic.")
		env.say("  which artifact differs first:  lastro reproduce %d", d.From)
	default:
		env.say("The first thing that differs: %s.", d.First)
	}
}

// part prints one part of what went in.
func part(env *Env, name string, lines []string) {
	if len(lines) == 0 {
		lines = []string{env.Out.style("muted", "same")}
	}
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		env.say("  %-9s  %s", name, line)
	}
}

func codeLines(d lineage.Difference) []string {
	var rows [][]string
	for _, f := range d.Code {
		lines := fmt.Sprintf("+%d −%d", f.Added, f.Removed)
		switch {
		case f.Unknown:
			lines = ""
		case f.Binary:
			lines = "binary"
		case f.Added+f.Removed == 0:
			lines = "mode"
		}
		state := ""
		if f.State != "changed" {
			state = f.State
		}
		rows = append(rows, []string{f.Path, lines, state})
	}
	lines := table(rows)
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	const many = 15
	if n := len(lines); n > many {
		lines = append(lines[:many], fmt.Sprintf("… and %d files more", n-many))
	}
	if len(lines) > 0 && d.Code[0].Unified == "" {
		lines[0] += fmt.Sprintf("   (%s: lastro diff %d %d --code)", count(len(d.Code), "file"), d.From, d.To)
	}
	return lines
}

func dataLines(d lineage.Difference) []string {
	var lines []string
	for _, x := range d.Data {
		line := fmt.Sprintf("%s@%s → @%s", x.Dataset, lastro.Digest(x.From).Short(), lastro.Digest(x.To).Short())
		switch {
		case x.From == "":
			line = fmt.Sprintf("%s@%s   not read before", x.Dataset, lastro.Digest(x.To).Short())
		case x.To == "":
			line = fmt.Sprintf("%s@%s   no longer read", x.Dataset, lastro.Digest(x.From).Short())
		case x.Rows != nil && *x.Rows == 0:
			line += "   as many rows"
		case x.Rows != nil:
			line += fmt.Sprintf("   %s rows (%s %%)", signed(*x.Rows), strings.Replace(fmt.Sprintf("%+.1f", 100*x.Share), "-", "−", 1))
		}
		lines = append(lines, line)
	}
	return lines
}

func signed(n int64) string {
	if n < 0 {
		return "−" + data.Thousands(-n)
	}
	return "+" + data.Thousands(n)
}

func changeLines(changes []lineage.Change) []string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, fit(c.String(), 110))
	}
	const many = 20
	if n := len(lines); n > many {
		lines = append(lines[:many], fmt.Sprintf("… and %d more", n-many))
	}
	return lines
}

func printMetrics(env *Env, d lineage.Difference) {
	if len(d.Metrics) == 0 {
		if d.Equal > 0 {
			env.say("\n  metrics    %s", env.Out.style("muted", "same ("+count(d.Equal, "value")+")"))
		}
		return
	}
	rows := [][]string{{"metric", fmt.Sprintf("#%d", d.From), fmt.Sprintf("#%d", d.To), "change", "95 % intervals"}}
	for _, m := range d.Metrics {
		change, intervals := "", ""
		if m.Change != nil {
			change = strings.Replace(fmt.Sprintf("%+.4g", *m.Change), "-", "−", 1)
		}
		if m.Apart != nil {
			intervals = fmt.Sprintf("%s and %s: ", interval(m.From), interval(m.To))
			if *m.Apart {
				intervals += "apart"
			} else {
				intervals += "they overlap, so this may be chance"
			}
		}
		rows = append(rows, []string{strings.TrimPrefix(m.Name, "metrics."), value(m.From), value(m.To), change, intervals})
	}
	env.say("")
	for i, line := range table(rows) {
		line = strings.TrimRight("  "+line, " ")
		if i == 0 {
			line = env.Out.style("muted", line)
		}
		env.say("%s", line)
	}
	if d.Equal > 0 {
		env.say("  %s", env.Out.style("muted", count(d.Equal, "other value")+" the same"))
	}
}

func value(f *lineage.Figure) string {
	if f == nil {
		return "–"
	}
	if f.Value == math.Trunc(f.Value) && math.Abs(f.Value) < 1e15 {
		return fmt.Sprintf("%.0f", f.Value)
	}
	return fmt.Sprintf("%.4g", f.Value)
}

func interval(f *lineage.Figure) string { return fmt.Sprintf("[%.4g, %.4g]", *f.Low, *f.High) }

func printPatch(env *Env, d lineage.Difference) {
	for _, f := range d.Code {
		from, to := fmt.Sprintf("#%d/%s", d.From, f.Path), fmt.Sprintf("#%d/%s", d.To, f.Path)
		switch f.State {
		case "new":
			from = "/dev/null"
		case "gone":
			to = "/dev/null"
		}
		env.say("\n%s", env.Out.style("bold", "--- "+from+"\n+++ "+to))
		if f.Unified == "" {
			env.say("%s", env.Out.style("muted", "(no lines to show: "+noLines(f)+")"))
		}
		for line := range strings.Lines(f.Unified) {
			state := ""
			switch line[0] {
			case '+':
				state = "succeeded"
			case '-':
				state = "failed"
			case '@':
				state = "waiting"
			}
			env.say("%s", env.Out.style(state, strings.TrimSuffix(line, "\n")))
		}
	}
}

func noLines(f lineage.FileDifference) string {
	switch {
	case f.Binary:
		return "binary"
	case f.Unknown:
		return "its bytes are not kept, or too large"
	}
	return "only its mode changed"
}
