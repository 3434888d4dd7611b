// SPDX-License-Identifier: Apache-2.0

package project

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"lastro"
	"lastro/pipeline"
)

var pythonVersion = regexp.MustCompile(`^\d+\.\d+(\.\d+)?$`)

func (l *loader) python(n *PythonNode) pipeline.Python {
	if n == nil {
		return pipeline.Python{}
	}
	version := n.Version
	if n.Short.Given() {
		version = n.Short
	}
	if version.Given() && !pythonVersion.MatchString(version.Value) {
		l.report(version.At, "L0106", fmt.Sprintf("%q is no version of Python", version.Value), `write it as "3.11", in quotes`)
	}
	if !version.Given() {
		l.report(n.At, "L0103", `"python" needs the key "version"`, `such as version: "3.11"`)
	}
	out := pipeline.Python{Version: version.Value}
	if n.Lock.Given() {
		out.Lock = l.path(n.Lock, "the lock")
		if out.Lock != "" && !l.there(out.Lock) {
			l.report(n.Lock.At, "L0125", fmt.Sprintf("there is no lock file %q", out.Lock), l.nearFile(out.Lock, "leave it out: lastro writes lastro.lock"))
		}
	}
	return out
}

// Bounds of one file (SECURITY B17), far above what people write.
const (
	maxSteps   = 1000
	maxOutputs = 100   // of a step
	maxCommand = 65536 // characters
)

func (l *loader) translateSteps() {
	if n := len(l.file.Steps.Entries); n > maxSteps {
		l.report(l.file.Steps.Entries[maxSteps].Key.At, "L0106", fmt.Sprintf("the file has %d steps; at most %d are read", n, maxSteps), "split the project")
		l.file.Steps.Entries = l.file.Steps.Entries[:maxSteps]
	}
	for i := range l.file.Steps.Entries {
		e := &l.file.Steps.Entries[i]
		if d, clash := l.datasets[e.Key.Value]; clash {
			l.report(e.Key.At, "L0109", fmt.Sprintf("step %q has the name of a dataset", e.Key.Value), fmt.Sprintf("rename one of them; the dataset is in line %d", d.Pos.Line))
		}
		l.steps[e.Key.Value] = &e.Value
		l.order = append(l.order, e.Key.Value)
	}
	if len(l.order) == 0 && l.file.Steps.At.Line > 0 {
		l.report(l.file.Steps.At, "L0103", "there is no step", "name one below steps: what runs, and its inputs and outputs")
	}
	for _, e := range l.file.Steps.Entries {
		l.project.Pipeline.Steps = append(l.project.Pipeline.Steps, l.step(e.Key, &e.Value))
	}
	l.sameOutputs()
	l.cycles()
	l.whoGoesOn()
}

func (l *loader) step(key Text, n *StepNode) pipeline.StepSpec {
	s := pipeline.StepSpec{Name: key.Value, Kind: "run", Needs: nil, Code: values(n.Code), Sees: values(n.Sees), Cache: true,
		Timeout: duration(n.Timeout), Parallel: n.Parallel.Value, Pos: key.At}
	if n.Code.At.Line > 0 && s.Code == nil {
		s.Code = []string{} // `code: []` is an answer, not a silence
	}
	sc := scope{params: l.params}
	s.Matrix = l.matrix(n, &sc)
	s.Select = l.selection(n, s.Matrix)
	if n.Cache.On.At.Line > 0 {
		s.Cache = n.Cache.On.Value
	}
	if n.Workdir.Given() {
		if s.Workdir = l.path(n.Workdir, "the workdir"); s.Workdir != "" && !l.there(s.Workdir) {
			l.report(n.Workdir.At, "L0125", fmt.Sprintf("there is no folder %q", s.Workdir), l.nearFile(s.Workdir, "workdir is the folder in which the command starts"))
		}
		if s.Workdir == "." {
			s.Workdir = ""
		}
	}
	if n.Python != nil {
		p := l.python(n.Python)
		s.Python = &p
	}
	l.stepFiles(n, &s)
	l.stepEnv(n, &s, sc)
	l.stepWork(key, n, &s, sc)
	l.stepInputs(n, &s)
	for _, t := range n.Code.Items {
		l.path(t, "a code pattern")
	}
	for _, t := range n.Sees.Items {
		l.checkSees(t)
	}
	return s
}

// stepWork is what the step does: a command or a built-in.
func (l *loader) stepWork(key Text, n *StepNode, s *pipeline.StepSpec, sc scope) {
	shell, argv := n.Run.Shell, n.Run.Argv
	runs := shell.Given() || argv.At.Line > 0
	switch {
	case runs && n.Uses.Given():
		l.report(n.Uses.At, "L0105", fmt.Sprintf("step %q has both run and uses", key.Value), "keep one of them")
		return
	case !runs && !n.Uses.Given() && !n.Notebook.Given():
		if !l.hasProblemIn(n.At.Line) && !l.hasProblemIn(key.At.Line) {
			l.report(key.At, "L0103", fmt.Sprintf("step %q does nothing: it has neither run nor uses", key.Value), "run: python script.py")
		}
		return
	case n.With.Given() && !n.Uses.Given():
		l.report(n.With.At, "L0105", "with belongs to uses, and this step runs a command", "give the command its values as arguments: --depth ${{ params.depth }}")
	}
	switch {
	case len(shell.Value) > maxCommand:
		l.report(shell.At, "L0106", fmt.Sprintf("a command has at most %d characters", maxCommand), "put it into a script")
	case shell.Given():
		if strings.TrimSpace(shell.Value) == "" {
			l.report(shell.At, "L0105", "the command is empty", "run: python script.py")
		}
		s.Shell, s.Vars = l.compileShell(shell, sc, s.Vars)
		l.script(shell, strings.Fields(firstCommand(shell.Value)), s)
	case argv.At.Line > 0:
		if len(argv.Items) == 0 {
			l.report(argv.At, "L0105", "the command is empty", `run: [python, script.py]`)
		}
		single := sc
		single.single = true
		for _, t := range argv.Items {
			for _, h := range holes(t.Value) {
				if l.check(t, h, single) {
					s.Vars, _ = withVar(s.Vars, h.expr)
				}
			}
		}
		s.Argv = values(argv)
		if len(argv.Items) > 0 {
			l.script(argv.Items[min(1, len(argv.Items)-1)], s.Argv, s)
		}
	case n.Uses.Given():
		s.Kind = l.uses(n.Uses)
		for _, t := range n.With.texts {
			l.checkAll(t, sc)
		}
		with := n.With.Value
		if with == nil {
			with = map[string]any{}
		}
		if _, ok := with.(map[string]any); !ok {
			l.report(n.With.At, "L0105", `"with" wants an object`, "with: {key: value}")
		}
		raw, err := json.Marshal(with)
		if err != nil {
			l.report(n.With.At, "L0105", "with cannot be read: "+err.Error(), "")
		}
		s.With = raw
	}
}

func (l *loader) hasProblemIn(line int) bool {
	return slices.ContainsFunc(l.problems, func(p *lastro.Error) bool { return p.Pos.Line == line })
}

// builtins are the steps that this lastro has; false = known, not built yet.
var builtins = map[string]bool{"lastro/split": true, "lastro/compare": true, "lastro/fairness": true, "lastro/schema": false}

func (l *loader) uses(t Text) string {
	built, known := builtins[t.Value]
	switch {
	case known && built:
	case known:
		l.unsupported(t.At, "step "+t.Value, "")
	case strings.HasPrefix(t.Value, "./"):
		l.unsupported(t.At, "a local step", "write it as run:")
	case strings.HasPrefix(t.Value, "lastro/") || lastro.Nearest(t.Value, sortedKeys(builtins)) != "":
		l.report(t.At, "L0121", fmt.Sprintf("there is no built-in step %q", t.Value), didYouMean(t.Value, []string{"lastro/split", "lastro/compare", "lastro/fairness"}))
	default:
		l.unsupported(t.At, "a step of a third party", "built-in are lastro/split, lastro/compare, lastro/fairness")
	}
	return t.Value
}

func didYouMean(name string, candidates []string) string {
	if len(name) > 100 || len(candidates) > 300 {
		return ""
	}
	if near := lastro.Nearest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	if len(candidates) == 0 {
		return ""
	}
	if len(candidates) > 8 {
		return fmt.Sprintf("there is %s and %d more", strings.Join(candidates[:8], ", "), len(candidates)-8)
	}
	return "there is " + strings.Join(candidates, ", ")
}

// firstCommand is the first command of a shell text.
func firstCommand(shell string) string {
	if i := strings.IndexAny(shell, "\n;|&<>"); i >= 0 {
		return shell[:i]
	}
	return shell
}

var pythons = regexp.MustCompile(`^python(\d(\.\d+)?)?$`)

// script reports a Python file or module of the project that the command names
// and that is not there.
func (l *loader) script(t Text, words []string, s *pipeline.StepSpec) {
	if len(words) < 2 || !pythons.MatchString(words[0]) {
		return
	}
	name := words[1]
	if name == "-m" && len(words) > 2 {
		l.module(t, words[2], s)
		return
	}
	if !strings.HasSuffix(name, ".py") || strings.ContainsAny(name, `$"'*`) || path.IsAbs(name) {
		return
	}
	rel := path.Join(s.Workdir, name)
	if l.there(rel) || l.made(rel) {
		return
	}
	l.report(l.wordAt(t, name), "L0126", fmt.Sprintf("there is no script %q", rel), l.nearFile(rel, "paths are relative to the folder of lastro.yaml"))
}

// module reports python -m a.b when the folder a is here and b is not in it.
func (l *loader) module(t Text, name string, s *pipeline.StepSpec) {
	parts := strings.Split(name, ".")
	rel := path.Join(append([]string{s.Workdir}, parts...)...)
	if len(parts) < 2 || strings.ContainsAny(name, `$"'/`) || !l.there(path.Join(s.Workdir, parts[0])) {
		return
	}
	if l.there(rel+".py") || l.there(rel) || l.made(rel+".py") {
		return
	}
	l.report(l.wordAt(t, name), "L0126", fmt.Sprintf("there is no module %q: neither %s.py nor a folder %s", name, rel, rel), l.nearFile(rel+".py", "paths are relative to the folder of lastro.yaml"))
}

func (l *loader) wordAt(t Text, word string) lastro.Pos {
	if i := strings.Index(t.Value, word); i >= 0 {
		return t.at(len([]rune(t.Value[:i])), len([]rune(word)))
	}
	return t.At
}

// made reports whether a step or a dataset puts something at or around a path.
func (l *loader) made(rel string) bool {
	for _, d := range l.datasets {
		if within(rel, d.Source) || within(rel, d.Path) {
			return true
		}
	}
	for _, n := range l.steps {
		for _, o := range n.Outputs.Named.Entries {
			if within(rel, path.Clean(o.Value.Value)) {
				return true
			}
		}
	}
	return false
}

// within reports whether a path is dir or lies below it.
func within(rel, dir string) bool {
	return dir != "" && (rel == dir || dir == "." || strings.HasPrefix(rel, dir+"/"))
}

func (l *loader) stepFiles(n *StepNode, s *pipeline.StepSpec) {
	if len(n.Outputs.Named.Entries) > maxOutputs {
		l.report(n.Outputs.Named.At, "L0106", fmt.Sprintf("a step has at most %d outputs", maxOutputs), "write a folder: it is one output")
		return
	}
	for _, o := range n.Outputs.Named.Entries {
		if p := l.path(o.Value, "the output"); p == "." || p == FileName {
			l.report(o.Value.At, "L0124", fmt.Sprintf("an output cannot be %q", o.Value.Value), "choose a path of its own, such as work/"+o.Key.Value)
		} else if p != "" {
			s.Outputs = append(s.Outputs, pipeline.Output{Name: o.Key.Value, Path: p})
			l.outputs = append(l.outputs, output{s.Name, p, o.Value.At})
		}
		if strings.ContainsAny(o.Key.Value, "./ \\") || o.Key.Value == "" {
			l.report(o.Key.At, "L0106", fmt.Sprintf("%q is no name for an output", o.Key.Value), "use letters, digits, _ and -")
		}
	}
	for _, t := range n.Metrics.Items {
		if p := l.path(t, "the metrics file"); p != "" {
			s.Metrics = append(s.Metrics, p)
		}
	}
	if n.Reports == nil {
		return
	}
	s.Reports = map[string]string{}
	for name, t := range map[string]Text{"junit": n.Reports.JUnit, "gotest": n.Reports.GoTest} {
		if t.Given() {
			s.Reports[name] = l.path(t, "the report")
		}
	}
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// stepEnv keeps literal values in Env; a value that is one expression becomes
// a variable.
func (l *loader) stepEnv(n *StepNode, s *pipeline.StepSpec, sc scope) {
	sc.single = true
	for _, e := range n.Env.Entries {
		switch name := e.Key.Value; {
		case !envName.MatchString(name):
			l.report(e.Key.At, "L0106", fmt.Sprintf("%q is no name for an environment variable", name), "use letters, digits and _")
		case strings.HasPrefix(name, "LASTRO_") || strings.HasPrefix(name, "MLFLOW_"):
			l.report(e.Key.At, "L0106", fmt.Sprintf("%s is set by lastro", name), "choose another name")
		}
		hs := holes(e.Value.Value)
		if len(hs) == 1 && hs[0].end-hs[0].start == len([]rune(strings.TrimSpace(e.Value.Value))) {
			if l.check(e.Value, hs[0], sc) {
				s.Vars = append(s.Vars, pipeline.Var{Name: e.Key.Value, Expr: hs[0].expr})
			}
			continue
		}
		if len(hs) > 0 {
			l.unsupported(e.Value.at(hs[0].start, hs[0].end-hs[0].start), "text around an expression in env", "give the expression a variable of its own and join them in the script")
			continue
		}
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		s.Env[e.Key.Value] = e.Value.Value
	}
}

func (l *loader) matrix(n *StepNode, sc *scope) []pipeline.Axis {
	var out []pipeline.Axis
	cells := 1
	for _, e := range n.Matrix.Entries {
		axis := pipeline.Axis{Name: e.Key.Value}
		if !envName.MatchString(e.Key.Value) {
			l.report(e.Key.At, "L0106", fmt.Sprintf("%q is no name for an axis", e.Key.Value), "use letters, digits and _")
		}
		for _, v := range e.Value.Values.Items {
			switch v.Value.(type) {
			case string, bool, int64, uint64, float64:
				if slices.Contains(axis.Values, v.Value) {
					l.report(v.At, "L0109", fmt.Sprintf("%v is twice in axis %q", v.Value, axis.Name), "keep one")
				}
				axis.Values = append(axis.Values, v.Value)
			default:
				l.report(v.At, "L0105", fmt.Sprintf("axis %q wants numbers, texts or true and false", axis.Name), "")
			}
		}
		if len(e.Value.Values.Items) == 0 && e.Value.Values.At.Line > 0 {
			l.report(e.Key.At, "L0105", fmt.Sprintf("axis %q has no values", axis.Name), "such as [1, 2]")
		}
		cells *= max(1, len(axis.Values))
		sc.matrix = append(sc.matrix, axis.Name)
		out = append(out, axis)
	}
	if cells > maxCells {
		l.report(n.Matrix.At, "L0106", fmt.Sprintf("the matrix has %d cells; at most %d run", cells, maxCells), "")
	}
	return out
}

// maxCells bounds a matrix: SECURITY B17.
const maxCells = 1000

func (l *loader) selection(n *StepNode, axes []pipeline.Axis) *pipeline.Select {
	if n.Select == nil {
		return nil
	}
	s := &pipeline.Select{Best: n.Select.Best.Value, Goal: n.Select.Goal.Value, AverageOver: n.Select.AverageOver.Value}
	if s.Goal == "" {
		s.Goal = "max"
	}
	if len(axes) == 0 {
		l.report(n.Select.At, "L0105", "select chooses a cell of a matrix, and this step has none", "add matrix:, or remove select:")
		return s
	}
	if s.Best != "" && (!strings.HasPrefix(s.Best, "metrics.") || s.Best == "metrics.") {
		l.report(n.Select.Best.At, "L0121", fmt.Sprintf("select cannot go by %q", s.Best), "it goes by a metric that the step writes: metrics.NAME")
	}
	var names []string
	for _, a := range axes {
		names = append(names, a.Name)
	}
	if s.AverageOver != "" && !slices.Contains(names, s.AverageOver) {
		l.report(n.Select.AverageOver.At, "L0121", fmt.Sprintf("%q is no axis of the matrix", s.AverageOver), didYouMean(s.AverageOver, names))
	}
	return s
}

func (l *loader) checkSees(t Text) {
	var all []string
	for _, d := range l.project.Datasets {
		all = append(all, d.Sensitive...)
	}
	if !slices.Contains(all, t.Value) {
		hint := didYouMean(t.Value, all)
		if len(all) == 0 {
			hint = "no dataset declares sensitive: columns; every step reads every column"
		}
		l.report(t.At, "L0121", fmt.Sprintf("%q is no sensitive column of a dataset", t.Value), hint)
	}
}
