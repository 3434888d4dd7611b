// SPDX-License-Identifier: Apache-2.0

package project

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro/data"
	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/trigger"
)

// Section is one part of Explain: a heading and its lines.
type Section struct {
	Heading string   `json:"heading"` // "When", "What happens" ...
	Items   []Item   `json:"items"`
	Notes   []string `json:"notes,omitempty"`
}

// Item is one line of a section. One with a name is a station on the way from
// data to production; those are numbered through all sections.
type Item struct {
	Name string   `json:"name,omitempty"`
	Text string   `json:"text"`
	More []string `json:"more,omitempty"`
}

// Explain says in plain words what a project does (design CLI 6).
func Explain(p *Project) []Section {
	sections := []Section{{Heading: "When", Items: []Item{{Text: strings.Join(starts(p), " · ")}}}}
	happens := Section{Heading: "What happens"}
	for _, d := range p.Datasets {
		happens.Items = append(happens.Items, explainDataset(d))
	}
	for _, s := range inOrder(p.Pipeline.Steps) {
		happens.Items = append(happens.Items, explainStep(p, s))
	}
	if p.Model != nil {
		happens.Items = append(happens.Items, explainModel(p))
	}
	sections = append(sections, happens)
	if len(p.Environments) > 0 {
		goes := Section{Heading: "Where it goes"}
		for _, e := range p.Environments {
			goes.Items = append(goes.Items, explainEnvironment(e))
		}
		sections = append(sections, goes)
	}
	if len(p.Monitors) > 0 {
		watched := Section{Heading: "What is watched"}
		for _, m := range p.Monitors {
			watched.Items = append(watched.Items, explainMonitor(m))
		}
		sections = append(sections, watched)
	}
	return append(sections, Section{Heading: "Built in, so not in the file", Items: []Item{{
		Text: "a step whose command, code, inputs, params and packages are unchanged is taken from the cache · only declared outputs survive a step · every decision is kept with the values it saw"}}})
}

// starts lists what starts a run.
func starts(p *Project) []string {
	var out []string
	on := p.Trigger
	if on.Push != nil {
		out = append(out, "a push"+among(" to ", on.Push.Branches)+among(" that changes ", on.Push.Paths))
		if len(on.Push.Tags) > 0 {
			out = append(out, "a tag"+among(" ", on.Push.Tags))
		}
	}
	if on.PullRequest != nil {
		text := "a pull request" + among(" into ", on.PullRequest.Branches) + among(" that changes ", on.PullRequest.Paths) + " (tests only: no secrets, no promotion, no release"
		if on.PullRequest.Forks == trigger.ForksNever {
			out = append(out, text+"; none of forks)")
		} else {
			out = append(out, text+"; one of a fork waits for a person)")
		}
	}
	if on.Tag != nil {
		out = append(out, "a tag"+among(" ", on.Tag.Names))
	}
	for _, d := range on.Data {
		out = append(out, "new "+d.Name+" data")
	}
	for _, c := range on.Schedules {
		zone := c.Timezone
		if zone == "" {
			zone = "UTC"
		}
		out = append(out, fmt.Sprintf("the clock: %s (%s)", c.Cron, zone))
	}
	for _, m := range p.Monitors {
		if m.Retrain != nil {
			out = append(out, fmt.Sprintf("an alert from %s (%s)", m.Environment, strings.Join(m.Retrain.When, ", ")))
		}
	}
	if on.Manual {
		out = append([]string{"by hand (lastro run)"}, out...)
	}
	return out
}

// among joins patterns behind a word; "" without any.
func among(word string, patterns []string) string {
	if len(patterns) == 0 {
		return ""
	}
	return word + strings.Join(patterns, ", ")
}

// inOrder sorts steps so that each comes after what it waits for, otherwise in
// the order of the file.
func inOrder(steps []pipeline.StepSpec) []pipeline.StepSpec {
	byName := map[string]pipeline.StepSpec{}
	for _, s := range steps {
		byName[s.Name] = s
	}
	var out []pipeline.StepSpec
	done := map[string]bool{}
	var add func(s pipeline.StepSpec)
	add = func(s pipeline.StepSpec) {
		if done[s.Name] {
			return
		}
		done[s.Name] = true
		for _, n := range s.Needs {
			add(byName[n])
		}
		for _, in := range s.Inputs {
			if in.Step != "" {
				add(byName[in.Step])
			}
		}
		out = append(out, s)
	}
	for _, s := range steps {
		add(s)
	}
	return out
}

func explainDataset(d data.Spec) Item {
	item := Item{Name: d.Name, Text: "data in " + d.Source + "; its content is its version"}
	if d.Contract != "" {
		item.Text = fmt.Sprintf("data in %s, checked against %s; a violation stops the run before any step reads it", d.Source, d.Contract)
		if d.OnFail == "warn" {
			item.Text = fmt.Sprintf("data in %s, checked against %s; a violation is said and does not stop the run", d.Source, d.Contract)
		}
	}
	if len(d.Sensitive) > 0 {
		item.More = append(item.More, fmt.Sprintf("%s: left out of what steps read, except built-in checks and steps that list them", strings.Join(d.Sensitive, ", ")))
	}
	return item
}

func explainStep(p *Project, s pipeline.StepSpec) Item {
	item := Item{Name: s.Name, Text: work(p, s) + explainMatrix(s)}
	switch formats := strings.Join(sortedKeys(s.Reports), " and "); len(s.Reports) {
	case 0:
	case 1:
		item.Text += "; its " + formats + " report counts"
	default:
		item.Text += "; its " + formats + " reports count"
	}
	item.More = terms(s)
	return item
}

// work says what a step does.
func work(p *Project, s pipeline.StepSpec) string {
	var with map[string]any
	_ = json.Unmarshal(s.With, &with) // the loader has made it
	switch s.Kind {
	case "lastro/split":
		return explainSplit(with)
	case "lastro/compare":
		model := "the model"
		if p.Model != nil {
			model = p.Model.Name + "@" + word(with["against"], "champion")
		}
		return fmt.Sprintf("scores the candidate and %s on the same rows: %s", model, words(with["metrics"]))
	case "lastro/fairness":
		return fmt.Sprintf("rates by %s, and their differences with intervals", words(with["groups"]))
	case "notebook":
		text := fmt.Sprintf("executes the notebook %v", with["path"])
		if params, _ := with["params"].(map[string]any); len(params) > 0 {
			text += " with " + strings.Join(sortedKeys(params), ", ")
		}
		return text + "; the run copy is kept"
	}
	return firstLine(s)
}

// terms says under which conditions a step works.
func terms(s pipeline.StepSpec) (out []string) {
	add := func(wanted bool, format string, args ...any) {
		if wanted {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(s.If != "", "only if %s; else it is skipped, and so is what needs it", strings.Join(strings.Fields(s.If), " "))
	for _, v := range s.Services {
		add(true, "beside it runs %s", explainService(v))
	}
	add(len(s.Secrets) > 0, "gets the secrets %s as environment variables; they are masked in its log", strings.Join(s.Secrets, ", "))
	add(len(s.Sees) > 0, "may read the sensitive columns %s", strings.Join(s.Sees, ", "))
	add(s.Network == pipeline.NetworkNone, "without network, but for tracking")
	add(s.Limits != (pipeline.Limits{}), "uses at most %s", limits(s.Limits))
	add(s.Retry.Max > 0, "%s", explainRetry(s.Retry))
	add(len(s.Plots) > 0, "its plots are kept: %s", strings.Join(s.Plots, ", "))
	add(!s.Cache, "runs every time")
	add(s.MaxAge > 0, "an earlier result counts for %s", span(s.MaxAge))
	add(s.Timeout > 0, "stopped after %s", span(s.Timeout))
	return out
}

func explainService(v pipeline.ServiceSpec) string {
	port, ready := "a free port", "its port accepts"
	if v.Port > 0 {
		port = fmt.Sprintf("port %d", v.Port)
	}
	switch {
	case strings.HasPrefix(v.Ready, "/"):
		ready = v.Ready + " answers"
	case v.Ready != "":
		ready = "its check succeeds"
	}
	return fmt.Sprintf("%s on %s; the step begins when %s", v.Name, port, ready)
}

func limits(l pipeline.Limits) string {
	var parts []string
	if l.CPU > 0 {
		parts = append(parts, strconv.FormatFloat(l.CPU, 'g', -1, 64)+" processors")
	}
	if l.Memory > 0 {
		parts = append(parts, size(l.Memory)+" of memory")
	}
	return strings.Join(parts, " and ")
}

// size spells bytes in the largest whole binary unit.
func size(n int64) string {
	for _, u := range []struct {
		unit int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.unit == 0 {
			return fmt.Sprintf("%d %s", n/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func explainRetry(r pipeline.Retry) string {
	reasons := []string{"lost work"}
	if len(r.On) > 0 {
		reasons = nil
	}
	for _, on := range r.On {
		switch code, exit := strings.CutPrefix(string(on), "exit:"); {
		case exit:
			reasons = append(reasons, "exit status "+code)
		case on == pipeline.RetryOOM:
			reasons = append(reasons, "running out of memory")
		case on == pipeline.RetryLost:
			reasons = append(reasons, "lost work")
		default:
			reasons = append(reasons, string(on))
		}
	}
	text := fmt.Sprintf("tried again up to %d times after %s", r.Max, strings.Join(reasons, ", "))
	if r.Max == 1 {
		text = "tried once more after " + strings.Join(reasons, ", ")
	}
	if r.Backoff > 0 {
		text += fmt.Sprintf(", first after %s, then twice as long each time", span(r.Backoff))
	}
	return text
}

// firstLine is a command for a person: its expressions as they were written.
func firstLine(s pipeline.StepSpec) string {
	text := strings.Join(s.Argv, " ")
	if s.Shell != "" {
		text = s.Shell
		for _, v := range s.Vars {
			text = strings.NewReplacer(`"$`+v.Name+`"`, "<"+v.Expr+">", "${"+v.Name+"}", "<"+v.Expr+">").Replace(text)
		}
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > 1 {
		return fmt.Sprintf("%s … (%d lines)", lines[0], len(lines))
	}
	return lines[0]
}

func explainSplit(with map[string]any) string {
	text := "splits at random"
	switch {
	case word(with["by"], "") == "time":
		text = "splits by time"
		if c := word(with["column"], ""); c != "" {
			text += " of " + c
		}
		if w := word(with["window"], ""); w != "" {
			text += ", the newest " + w
		}
	case word(with["by"], "") == "group":
		text = "splits so that all rows of one " + word(with["column"], "group") + " are on one side"
	case with["stratify"] != nil:
		text += ", equal shares of " + words(with["stratify"])
	}
	if t := word(with["test"], ""); t != "" {
		text += "; test: " + t
	}
	if with["no_overlap"] != nil {
		text += fmt.Sprintf("; refuses a %s on both sides", words(with["no_overlap"]))
	}
	return text
}

func explainMatrix(s pipeline.StepSpec) string {
	if !s.HasMatrix() {
		return ""
	}
	var axes []string
	for _, a := range s.Matrix {
		axes = append(axes, fmt.Sprintf("%d × %s", len(a.Values), a.Name))
	}
	if len(s.Exclude) > 0 {
		axes = append(axes, "some left out")
	}
	if len(s.Include) > 0 {
		axes = append(axes, "some added")
	}
	text := fmt.Sprintf("; %d variants (%s)", len(pipeline.Cells(s)), strings.Join(axes, ", "))
	if s.Parallel > 0 {
		text += fmt.Sprintf(", %d at a time", s.Parallel)
	}
	if s.Select == nil {
		return text
	}
	best := map[string]string{"max": "highest", "min": "lowest"}[s.Select.Goal]
	metric := strings.TrimPrefix(s.Select.Best, "metrics.")
	if s.Select.AverageOver != "" {
		return text + fmt.Sprintf("; the one with the %s mean %s over %s goes on", best, metric, s.Select.AverageOver)
	}
	return text + fmt.Sprintf("; the one with the %s %s goes on", best, metric)
}

func explainModel(p *Project) Item {
	aliases := []string{"candidate", "challenger", "champion"}
	for _, a := range p.Model.Protect {
		if !slices.Contains(aliases, a) {
			aliases = append(aliases, a)
		}
	}
	item := Item{Name: p.Model.Name}
	source := p.Model.Step + "." + p.Model.Output
	switch len(p.Rules) {
	case 0:
		item.Text = fmt.Sprintf("registered from %s; no condition is declared", source)
	case 1:
		item.Text = fmt.Sprintf("registered from %s; one condition must hold before %s moves to it, whoever asks", source, strings.Join(aliases, ", "))
	default:
		item.Text = fmt.Sprintf("registered from %s; %d conditions must hold before %s moves to it, whoever asks", source, len(p.Rules), strings.Join(aliases, ", "))
	}
	for _, r := range p.Rules {
		item.More = append(item.More, explainRule(r))
	}
	return item
}

func explainRule(r gate.Rule) string {
	text := r.Check
	if r.Name != r.Check {
		text = r.Name + ": " + r.Check
	}
	switch r.OnFail {
	case gate.Approve:
		text += " (else a named person may waive it until a date)"
	case gate.Warn:
		text += " (else it is only said)"
	}
	if r.First == "pass" {
		text += " (the first version passes)"
	}
	if r.Why != "" {
		text += ": " + r.Why
	}
	return text
}

func explainEnvironment(e deploy.Spec) Item {
	item := Item{Name: e.Name, Text: fmt.Sprintf("serves %s@%s; ", e.Model, e.Alias)}
	if e.Strategy.Kind != "canary" {
		item.Text += "a new version takes all traffic at once"
		return item
	}
	var shares []string
	for _, s := range e.Strategy.Steps {
		shares = append(shares, strconv.FormatFloat(s*100, 'g', 6, 64)+" %")
	}
	item.Text += "a new version gets " + strings.Join(shares, " → ") + " of the traffic"
	var each []string
	if e.Strategy.Hold > 0 {
		each = append(each, span(e.Strategy.Hold)+" each")
	}
	if e.Strategy.MinRequests > 0 {
		each = append(each, fmt.Sprintf("at least %d requests per step", e.Strategy.MinRequests))
	}
	if len(each) > 0 {
		item.Text += ", " + strings.Join(each, ", ")
	}
	if len(e.RollbackIf) > 0 {
		item.More = append(item.More, "goes back by itself if "+strings.Join(e.RollbackIf, " or "))
	}
	return item
}

func explainMonitor(m monitor.Spec) Item {
	item := Item{Name: m.Environment}
	var what []string
	if d := m.Drift; d != nil {
		what = append(what, fmt.Sprintf("drift of the columns against %s.%s", d.Step, d.Output))
		item.More = append(item.More, fmt.Sprintf("drift: windows of %s by event time, from %d rows on; said from %g, an alert from %g", span(d.Window), d.MinRows, d.Warn, d.Alert))
	}
	if p := m.Performance; p != nil {
		what = append(what, fmt.Sprintf("%s when the labels of %s arrive (after %s)", p.Metric, p.Labels, span(p.Delay)))
		if p.Alert != "" {
			item.More = append(item.More, "performance: an alert if "+p.Alert)
		}
	}
	item.Text = strings.Join(what, "; ")
	if r := m.Retrain; r != nil {
		text := fmt.Sprintf("an alert on %s trains again", strings.Join(r.When, " or "))
		if r.NewLabels > 0 {
			text += fmt.Sprintf(" when %d new labels are there", r.NewLabels)
		}
		if r.Max > 0 {
			text += fmt.Sprintf(", at most %d in %s", r.Max, span(r.Per))
		}
		item.More = append(item.More, text+", through the same conditions")
	}
	if len(m.Notify) > 0 {
		item.More = append(item.More, "alerts are told to "+strings.Join(m.Notify, ", "))
	}
	return item
}

// span spells a duration in its largest whole unit.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.unit && d%u.unit == 0 {
			if d == 24*time.Hour {
				return "1 day"
			}
			return fmt.Sprintf("%d %s", d/u.unit, u.name)
		}
	}
	return d.String()
}

func word(v any, otherwise string) string {
	if v == nil {
		return otherwise
	}
	return fmt.Sprint(v)
}

// words joins a list of names; an object counts by its first name.
func words(v any) string {
	list, ok := v.([]any)
	if !ok {
		return word(v, "all")
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			out = append(out, strings.Join(sortedKeys(object), " "))
			continue
		}
		out = append(out, fmt.Sprint(item))
	}
	return strings.Join(out, ", ")
}
