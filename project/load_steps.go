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
	maxSteps   = 10_000
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
		l.place[e.Key.Value] = i
		l.steps[e.Key.Value] = &e.Value
		keepCopy(e.Key.Value, &e.Value)
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
	l.laterChecks()
	l.whoGoesOn()
}

func (l *loader) step(key Text, n *StepNode) pipeline.StepSpec {
	s := pipeline.StepSpec{Name: key.Value, Kind: "run", Code: values(n.Code), Sees: values(n.Sees), Cache: true,
		Parallel: n.Parallel.Value, Network: pipeline.Network(n.Network.Value), Retry: l.retry(n.Retry), Limits: l.limits(n.Resources), Pos: key.At}
	if n.Code.At.Line > 0 && s.Code == nil {
		s.Code = []string{} // `code: []` is an answer, not a silence
	}
	l.times(n, &s)
	l.matrix(n, &s)
	sc := scope{params: l.params, step: s.Name}
	sc.matrix = n.Matrix.names()
	if s.HasMatrix() {
		sc.cells = pipeline.Cells(s)
	}
	s.Select = l.selection(n, s)
	s.If = l.condition(n.If, sc)
	if n.Workdir.Given() {
		s.Workdir = l.workdir(n.Workdir)
	}
	if n.Python != nil {
		p := l.python(n.Python)
		s.Python = &p
	}
	l.stepFiles(n, &s)
	s.Env, s.Vars = l.env(n.Env, sc, s.Vars)
	l.stepSecrets(n, &s)
	l.stepWork(key, n, &s, sc)
	l.services(n, &s, sc)
	l.stepInputs(n, &s)
	for _, t := range n.Code.Items {
		l.path(t, "a code pattern")
	}
	for _, t := range n.Sees.Items {
		l.checkSees(t)
	}
	return s
}

func (l *loader) workdir(t Text) string {
	dir := l.path(t, "the workdir")
	if dir != "" && !l.there(dir) {
		l.report(t.At, "L0125", fmt.Sprintf("there is no folder %q", dir), l.nearFile(dir, "workdir is the folder in which the command starts"))
	}
	if dir == "." {
		return ""
	}
	return dir
}

// stepWork is what the step does: a command, a notebook or a built-in.
func (l *loader) stepWork(key Text, n *StepNode, s *pipeline.StepSpec, sc scope) {
	shell, argv := n.Run.Shell, n.Run.Argv
	runs := shell.Given() || argv.At.Line > 0
	var named []Text
	for _, t := range []struct {
		name  string
		at    lastro.Pos
		given bool
	}{{"run", runAt(n), runs}, {"uses", n.Uses.At, n.Uses.Given()}, {"notebook", n.Notebook.At, n.Notebook.Given()}} {
		if t.given {
			named = append(named, Text{Value: t.name, At: t.at})
		}
	}
	switch {
	case len(named) > 1:
		l.report(named[1].At, "L0105", fmt.Sprintf("step %q has both %s and %s", key.Value, named[0].Value, named[1].Value), "keep one of them")
		return
	case len(named) == 0:
		if !l.hasProblemIn(n.At.Line) && !l.hasProblemIn(key.At.Line) {
			l.report(key.At, "L0103", fmt.Sprintf("step %q does nothing: it has neither run nor uses nor notebook", key.Value), "run: python script.py")
		}
		return
	case n.With.Given() && runs:
		l.report(n.With.At, "L0105", "with belongs to uses and notebook, and this step runs a command", "give the command its values as arguments: --depth ${{ params.depth }}")
	}
	switch {
	case shell.Given():
		l.shell(shell, s, sc)
	case runs:
		l.argv(argv, s, sc)
	case n.Notebook.Given():
		s.Kind = "notebook"
		l.notebook(n, s, sc)
	default:
		s.Kind = l.uses(n.Uses)
		s.With = l.with(n.With, sc)
	}
}

func runAt(n *StepNode) lastro.Pos {
	if n.Run.Shell.Given() {
		return n.Run.Shell.At
	}
	return n.Run.Argv.At
}

func (l *loader) shell(t Text, s *pipeline.StepSpec, sc scope) {
	switch {
	case len(t.Value) > maxCommand:
		l.report(t.At, "L0106", fmt.Sprintf("a command has at most %d characters", maxCommand), "put it into a script")
		return
	case strings.TrimSpace(t.Value) == "":
		l.report(t.At, "L0105", "the command is empty", "run: python script.py")
	}
	s.Shell, s.Vars = l.compileShell(t, sc, s.Vars)
	l.script(t, strings.Fields(firstCommand(t.Value)), s)
}

func (l *loader) argv(list List[Text], s *pipeline.StepSpec, sc scope) {
	if len(list.Items) == 0 {
		l.report(list.At, "L0105", "the command is empty", `run: [python, script.py]`)
		return
	}
	for i, t := range list.Items {
		if hs := holes(t.Value); i == 0 && len(hs) > 0 {
			l.report(t.at(hs[0].start, hs[0].end-hs[0].start), "L0113", "the program that runs cannot be the value of an expression", "name it; values are its arguments")
			continue
		}
		s.Vars = l.template(t, sc, s.Vars)
	}
	s.Argv = values(list)
	l.script(list.Items[min(1, len(list.Items)-1)], s.Argv, s)
}

// template checks a text whose expressions the engine replaces when the step
// starts; each is a variable of the step too, so that it counts for the cache.
func (l *loader) template(t Text, sc scope, vars []pipeline.Var) []pipeline.Var {
	sc.single = true
	for _, h := range holes(t.Value) {
		if l.check(t, h, sc) {
			vars, _ = withVar(vars, h.expr)
		}
	}
	return vars
}

// with reads the settings of a built-in step.
func (l *loader) with(a Any, sc scope) json.RawMessage {
	sc.planned = true
	for _, t := range a.texts {
		l.checkAll(t, sc)
	}
	with := a.Value
	if with == nil {
		with = map[string]any{}
	}
	if _, ok := with.(map[string]any); !ok {
		l.report(a.At, "L0105", `"with" wants an object`, "with: {key: value}")
	}
	raw, err := json.Marshal(with)
	if err != nil {
		l.report(a.At, "L0105", "with cannot be read: "+err.Error(), "")
	}
	return raw
}

// notebook reads the path of a notebook and what it gets: with, else all params.
func (l *loader) notebook(n *StepNode, s *pipeline.StepSpec, sc scope) {
	p := l.path(n.Notebook, "the notebook")
	switch {
	case p == "":
		return
	case !strings.HasSuffix(p, ".ipynb"):
		l.report(n.Notebook.At, "L0106", fmt.Sprintf("%q is no notebook: its name does not end with .ipynb", p), "a script is run with  run: python "+p)
	case !l.there(p) && !l.made(p):
		l.report(n.Notebook.At, "L0126", fmt.Sprintf("there is no notebook %q", p), l.nearFile(p, "paths are relative to the folder of lastro.yaml"))
	}
	params := map[string]any{}
	if n.With.Given() {
		if raw := l.with(n.With, sc); json.Unmarshal(raw, &params) != nil {
			return // that it is no object is reported
		}
	} else {
		for name, v := range l.params {
			if params[name] = v; pipeline.Dotted("params." + name) {
				params[name] = "${{ params." + name + " }}"
			}
		}
	}
	raw, err := json.Marshal(map[string]any{"path": p, "params": params})
	if err != nil {
		l.report(n.With.At, "L0105", "with cannot be read: "+err.Error(), "")
	}
	s.With = raw
	if s.Code != nil && !slices.Contains(s.Code, p) {
		s.Code = append(s.Code, p)
	}
}

// keepCopy makes the executed copy of a notebook an output, if the file does not
// say where it wants it.
func keepCopy(step string, n *StepNode) {
	named := &n.Outputs.Named
	if n.Notebook.Given() && !slices.ContainsFunc(named.Entries, func(e Entry[Text]) bool { return e.Key.Value == "notebook" }) {
		named.Entries = append(named.Entries, Entry[Text]{Key: Text{Value: "notebook", At: n.Notebook.At}, Value: Text{Value: "work/" + step + ".ipynb", At: n.Notebook.At}})
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
	return dir != "" && (rel == dir || dir == "." || len(rel) > len(dir) && rel[len(dir)] == '/' && rel[:len(dir)] == dir)
}

var outputName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

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
		if !outputName.MatchString(o.Key.Value) {
			l.report(o.Key.At, "L0106", fmt.Sprintf("%q is no name for an output", o.Key.Value), "use letters, digits, _ and -")
		}
	}
	for _, t := range n.Metrics.Items {
		if p := l.path(t, "the metrics file"); p != "" {
			s.Metrics = append(s.Metrics, p)
		}
	}
	for _, t := range n.Plots.Items {
		if p := l.path(t, "the plot"); p != "" {
			if !slices.Contains(plotForms, strings.ToLower(path.Ext(p))) {
				l.report(t.At, "L0106", fmt.Sprintf("%q is no plot that pages can show", p), "its name ends with "+strings.Join(plotForms, ", "))
			}
			s.Plots = append(s.Plots, p)
		}
	}
	if n.Reports == nil {
		return
	}
	s.Reports = map[string]string{}
	for name, t := range map[string]Text{"junit": n.Reports.JUnit, "gotest": n.Reports.GoTest, "sarif": n.Reports.SARIF, "coverage": n.Reports.Coverage} {
		if t.Given() {
			s.Reports[name] = l.path(t, "the report")
		}
	}
}

var plotForms = []string{".json", ".csv", ".svg", ".png"}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// variable reports a name that no environment variable of a step may have.
func (l *loader) variable(t Text) bool {
	switch name := t.Value; {
	case !envName.MatchString(name):
		l.report(t.At, "L0106", fmt.Sprintf("%q is no name for an environment variable", name), "use letters, digits and _")
	case strings.HasPrefix(name, "LASTRO_") || strings.HasPrefix(name, "MLFLOW_"):
		l.report(t.At, "L0106", fmt.Sprintf("%s is set by lastro", name), "choose another name")
	default:
		return true
	}
	return false
}

// env keeps the values of environment variables. One that is an expression and
// nothing else becomes a variable of the step; in others the engine replaces
// the expressions when the step starts.
func (l *loader) env(m Map[Text], sc scope, vars []pipeline.Var) (map[string]string, []pipeline.Var) {
	var env map[string]string
	for _, e := range m.Entries {
		if !l.variable(e.Key) {
			continue
		}
		t := e.Value
		if strings.ContainsRune(t.Value, 0) {
			l.report(t.At, "L0106", "an environment variable cannot hold a NUL character", "")
			continue
		}
		single := sc
		single.single = true
		if hs := holes(t.Value); len(hs) == 1 && hs[0].closed && hs[0].end-hs[0].start == len([]rune(t.Value)) {
			if l.check(t, hs[0], single) {
				vars = append(vars, pipeline.Var{Name: e.Key.Value, Expr: hs[0].expr})
			}
			continue
		}
		vars = l.template(t, sc, vars)
		if env == nil {
			env = map[string]string{}
		}
		env[e.Key.Value] = t.Value
	}
	return env, vars
}

func (l *loader) selection(n *StepNode, of pipeline.StepSpec) *pipeline.Select {
	if n.Select == nil {
		return nil
	}
	s := &pipeline.Select{Best: n.Select.Best.Value, Goal: n.Select.Goal.Value, AverageOver: n.Select.AverageOver.Value}
	if s.Goal == "" {
		s.Goal = "max"
	}
	if !of.HasMatrix() {
		if n.Matrix.At.Line > 0 {
			return s // what is wrong with it is reported
		}
		l.report(n.Select.At, "L0105", "select chooses a cell of a matrix, and this step has none", "add matrix:, or remove select:")
		return s
	}
	if s.Best != "" && (!strings.HasPrefix(s.Best, "metrics.") || s.Best == "metrics.") {
		l.report(n.Select.Best.At, "L0121", fmt.Sprintf("select cannot go by %q", s.Best), "it goes by a metric that the step writes: metrics.NAME")
	}
	names := n.Matrix.names()
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
