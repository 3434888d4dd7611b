// SPDX-License-Identifier: Apache-2.0

package project

import (
	"lastro/trigger"
)

// translateOn turns on: into what the triggers watch. Without it people start
// runs, and nothing else does.
func (l *loader) translateOn() {
	spec := trigger.Spec{Manual: true}
	if n := l.file.On; n != nil {
		spec = l.triggers(n)
	}
	l.project.Trigger = spec
	var names []string
	for _, d := range l.project.Datasets {
		names = append(names, d.Name)
	}
	for _, e := range spec.Check(names) {
		l.add(e)
	}
}

func (l *loader) triggers(n *OnNode) trigger.Spec {
	spec := trigger.Spec{Manual: n.Manual == nil || n.Manual.On.Value, Pos: n.At}
	if p := n.Push; p != nil && on(p.Switch) {
		spec.Push = &trigger.Push{Branches: values(p.Branches), Tags: values(p.Tags), Paths: values(p.Paths), Pos: p.At}
	}
	if p := n.PullRequest; p != nil && on(p.Switch) {
		spec.PullRequest = &trigger.PullRequest{Branches: values(p.Branches), Paths: values(p.Paths), Pos: p.At}
		if p.Forks.Value == "never" {
			spec.PullRequest.Forks = trigger.ForksNever
		}
	}
	if p := n.Tag; p != nil && on(p.Switch) {
		spec.Tag = &trigger.Tag{Names: values(p.Names), Pos: p.At}
	}
	for _, t := range n.Data.Items {
		spec.Data = append(spec.Data, trigger.DatasetNews{Name: t.Value, Pos: t.At})
	}
	for _, s := range n.Schedule.Items {
		if s.Cron.Given() {
			spec.Schedules = append(spec.Schedules, trigger.Schedule{Cron: s.Cron.Value, Timezone: s.Timezone.Value, Pos: s.Cron.At})
		}
	}
	return spec
}

// on reports whether a section is meant: an object, nothing, or true.
func on(s Bool) bool { return s.At.Line == 0 || s.Value }
