// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"lastro/gate"
	"lastro/monitor"
)

// What a monitor does when the file does not say.
const (
	defaultWindow  = 24 * time.Hour
	defaultMinRows = 1000
	defaultWarn    = 0.10
	defaultAlert   = 0.25
)

func (l *loader) translateMonitor() {
	var environments []string
	for _, e := range l.project.Environments {
		environments = append(environments, e.Name)
	}
	if _, ok := l.project.Environment("local"); ok && !contains(environments, "local") {
		environments = append(environments, "local")
	}
	for _, e := range l.file.Monitor.Entries {
		n := e.Value
		spec := monitor.Spec{Environment: e.Key.Value, Pos: e.Key.At}
		if _, ok := l.project.Environment(e.Key.Value); !ok {
			l.report(e.Key.At, "L0171", fmt.Sprintf("there is no environment %q to watch", e.Key.Value), didYouMean(e.Key.Value, environments))
		}
		if n.Drift != nil {
			spec.Drift = l.drift(n.Drift)
		}
		if n.Performance != nil {
			spec.Performance = l.performance(n.Performance, spec.Drift)
		}
		for _, action := range n.OnAlert.Items {
			l.action(action, &spec)
		}
		l.project.Monitors = append(l.project.Monitors, spec)
	}
}

func (l *loader) drift(n *DriftNode) *monitor.DriftSpec {
	d := &monitor.DriftSpec{Test: n.Test.Value, Window: duration(n.Window), MinRows: n.MinRows.Value, Warn: n.Warn.Value, Alert: n.Alert.Value, Columns: values(n.Columns)}
	if n.Reference.Given() {
		d.Step, d.Output = l.stepOutput(n.Reference)
	}
	if d.Test == "" {
		d.Test = "auto"
	}
	if d.Window == 0 {
		d.Window = defaultWindow
	}
	if d.MinRows == 0 {
		d.MinRows = defaultMinRows
	}
	if n.Warn.At.Line == 0 {
		d.Warn = defaultWarn
	}
	if n.Alert.At.Line == 0 {
		d.Alert = max(defaultAlert, d.Warn)
	}
	if d.Warn > d.Alert {
		l.report(n.Warn.At, "L0106", fmt.Sprintf("warn (%g) is above alert (%g)", d.Warn, d.Alert), "warn comes first")
	}
	return d
}

// metrics are those that can be measured against labels.
var performanceMetrics = []string{"auc", "brier", "log_loss", "accuracy", "precision", "recall", "f1", "rmse", "mae", "r2"}

func (l *loader) performance(n *PerformanceNode, drift *monitor.DriftSpec) *monitor.PerformanceSpec {
	p := &monitor.PerformanceSpec{Labels: n.Labels.Value, Join: n.Join.Value, Delay: duration(n.Delay), ObservedFor: n.ObservedFor.Value,
		Window: duration(n.Window), Metric: n.Metric.Value, Alert: n.Alert.Value}
	if _, ok := l.datasets[p.Labels]; n.Labels.Given() && !ok {
		l.report(n.Labels.At, "L0171", fmt.Sprintf("labels come from a dataset, and %q is none", p.Labels), didYouMean(p.Labels, sortedKeys(l.datasets)))
	}
	if p.Window == 0 && drift != nil {
		p.Window = drift.Window
	}
	if p.Window == 0 {
		p.Window = defaultWindow
	}
	if n.Metric.Given() && !contains(performanceMetrics, p.Metric) {
		l.report(n.Metric.At, "L0106", fmt.Sprintf("performance cannot be measured as %q", p.Metric), didYouMean(p.Metric, performanceMetrics))
	}
	if n.Alert.Given() {
		l.compiles(n.Alert, gate.ScopeMonitor)
	}
	if n.ObservedFor.Given() {
		l.compiles(n.ObservedFor, gate.ScopeAny)
	}
	return p
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func (l *loader) action(n ActionNode, spec *monitor.Spec) {
	for _, t := range n.Notify.Items {
		if t.Value != "log" {
			l.unsupported(t.At, fmt.Sprintf("notify %q", t.Value), "this lastro writes alerts to its log, its pages and its API: notify: [log]")
			continue
		}
		spec.Notify = append(spec.Notify, t.Value)
	}
	if n.Retrain == nil {
		return
	}
	if spec.Retrain != nil {
		l.report(n.Retrain.At, "L0109", "retrain is there twice", "keep one")
		return
	}
	spec.Retrain = l.retrain(n.Retrain, spec)
}

func (l *loader) retrain(n *RetrainNode, spec *monitor.Spec) *monitor.RetrainSpec {
	r := &monitor.RetrainSpec{When: values(n.When), NewLabels: n.NewLabels.Value, Cooldown: duration(n.Cooldown)}
	if len(r.When) == 0 && n.When.At.Line == 0 {
		r.When = []string{"performance"} // drift does not retrain by default (SEMANTICS 22)
	}
	for _, t := range n.When.Items {
		if t.Value == "drift" && spec.Drift == nil || t.Value == "performance" && spec.Performance == nil {
			l.report(t.At, "L0171", fmt.Sprintf("retrain waits for %s, which is not watched here", t.Value), fmt.Sprintf("add  %s:  to this monitor", t.Value))
		}
	}
	if n.Max.Given() {
		r.Max, r.Per = l.limit(n.Max)
	}
	return r
}

var limitForm = regexp.MustCompile(`^(\d{1,6})(?:\s+(?:per|a|an)\s+(hour|day|week|month|quarter|year))?$`)

// spans are the units of a limit; a month counts 30 days.
var spans = map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour,
	"quarter": 91 * 24 * time.Hour, "year": 365 * 24 * time.Hour}

func (l *loader) limit(t Text) (int, time.Duration) {
	m := limitForm.FindStringSubmatch(t.Value)
	if m == nil {
		l.report(t.At, "L0106", fmt.Sprintf("%q is no limit", t.Value), "such as  max: 2 per month")
		return 0, 0
	}
	if m[2] == "" {
		l.report(t.At, "L0106", fmt.Sprintf("%q does not say in which time", t.Value), fmt.Sprintf("such as  max: %s per month", m[1]))
		return 0, 0
	}
	n, _ := strconv.Atoi(m[1])
	return n, spans[m[2]]
}
