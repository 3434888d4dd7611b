// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lastro"
	"lastro/api"
	"lastro/project"
	"lastro/store"
	"lastro/trigger"
)

// What the routes of triggers take and answer, for commands that call them.
type (
	Taken       = api.Taken
	PushRequest = api.PushRequest
)

// triggerDoor is what the routes of triggers do.
type triggerDoor struct{ s *server }

var _ api.Triggers = triggerDoor{}

// project is the one in force; an error when this server has none.
func (d triggerDoor) project() (*project.Project, error) {
	if p := d.s.house.Project(); p != nil {
		return p, nil
	}
	return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0005", Msg: "this server has no project to run", Hint: "start it in the folder that holds lastro.yaml"}
}

// WebhookSecret implements api.Webhooks.
func (d triggerDoor) WebhookSecret(ctx context.Context, provider string) (string, error) {
	name := api.SecretOf(provider)
	values, err := d.s.house.Secrets.Values(ctx, []string{name}, true)
	if lastro.Is(err, lastro.EInvalid) {
		return "", &lastro.Error{Code: lastro.ENotFound, ID: "L0244", Msg: fmt.Sprintf("webhooks of %s are not set up here", provider), Hint: "lastro secret set " + name}
	}
	return values[name], err
}

// Delivered implements api.Webhooks.
func (d triggerDoor) Delivered(ctx context.Context, v trigger.Delivery) (bool, error) {
	return store.NewTrigger(d.s.house.DB).Delivered(ctx, v)
}

// Deliver implements api.Webhooks.
func (d triggerDoor) Deliver(ctx context.Context, v trigger.Delivery) error {
	_, err := store.NewTrigger(d.s.house.DB).Deliver(ctx, v)
	return err
}

// Changed implements api.Webhooks.
func (d triggerDoor) Changed(ctx context.Context, c trigger.Change) (api.Taken, error) {
	p, err := d.project()
	if err != nil {
		return api.Taken{}, err
	}
	return taken(d.s.house.triggers(p).Changed(ctx, p.Trigger, c))
}

// Proposed implements api.Webhooks.
func (d triggerDoor) Proposed(ctx context.Context, pr trigger.Proposal) (api.Taken, error) {
	p, err := d.project()
	if err != nil {
		return api.Taken{}, err
	}
	return taken(d.s.house.triggers(p).Proposed(ctx, p.Trigger, pr))
}

func taken(c trigger.Cause, added bool, why string, err error) (api.Taken, error) {
	if err != nil || why != "" {
		return api.Taken{Ignored: why}, err
	}
	return api.Taken{Cause: &c, Again: !added}, nil
}

// Causes implements api.Triggers.
func (d triggerDoor) Causes(ctx context.Context, f trigger.Filter) ([]trigger.Cause, error) {
	return d.s.house.Causes(ctx, f)
}

// Decide implements api.Triggers.
func (d triggerDoor) Decide(ctx context.Context, id string, yes bool, why string, by lastro.Actor) (trigger.Cause, error) {
	p, err := d.project()
	if err != nil {
		return trigger.Cause{}, err
	}
	if yes {
		return d.s.house.triggers(p).Approve(ctx, id, by)
	}
	return d.s.house.triggers(p).Refuse(ctx, id, by, why)
}

// Triggers implements api.Triggers.
func (d triggerDoor) Triggers(ctx context.Context) (trigger.Overview, error) {
	return d.s.house.TriggersNow(ctx)
}

// Causes lists reasons for runs of the project in force, newest first.
func (h *House) Causes(ctx context.Context, f trigger.Filter) ([]trigger.Cause, error) {
	p := h.Project()
	if p == nil {
		return nil, nil
	}
	f.Project = p.Name
	return store.NewTrigger(h.DB).Causes(ctx, f)
}

// TriggersNow says what starts runs of the project in force, when the next tick
// comes, and what the last cause of each was.
func (h *House) TriggersNow(ctx context.Context) (trigger.Overview, error) {
	out := trigger.Overview{Triggers: []trigger.Summary{}}
	p := h.Project()
	if p == nil {
		return out, nil
	}
	recent, err := h.Causes(ctx, trigger.Filter{Limit: 1000})
	if err != nil {
		return out, err
	}
	last := func(kind trigger.Kind, fits func(trigger.Cause) bool) *trigger.Cause {
		i := slices.IndexFunc(recent, func(c trigger.Cause) bool { return c.Kind == kind && c.State != trigger.Missed && fits(c) })
		if i < 0 {
			return nil
		}
		return &recent[i]
	}
	whatever := func(trigger.Cause) bool { return true }
	add := func(kind trigger.Kind, detail string) {
		out.Triggers = append(out.Triggers, trigger.Summary{Kind: kind, Detail: detail, Last: last(kind, whatever)})
	}
	t := p.Trigger
	if t.WatchesGit() {
		if r, err := h.repository(); err == nil {
			out.Repository = r.String()
		}
	}
	if t.Push != nil {
		add(trigger.KindPush, described("branches", t.Push.Branches, "paths", t.Push.Paths))
	}
	if t.Tag != nil {
		add(trigger.KindTag, described("tags", t.Tag.Names))
	} else if t.Push != nil && len(t.Push.Tags) > 0 {
		add(trigger.KindTag, described("tags", t.Push.Tags))
	}
	if t.PullRequest != nil {
		add(trigger.KindPullRequest, described("into", t.PullRequest.Branches, "paths", t.PullRequest.Paths))
	}
	for _, s := range t.Schedules {
		text := s.String()
		row := trigger.Summary{Kind: trigger.KindSchedule, Detail: text, Last: last(trigger.KindSchedule, func(c trigger.Cause) bool { return c.Detail["schedule"] == text })}
		if next := s.Next(h.Clock.Now()); !next.IsZero() {
			row.Next = &next
		}
		out.Triggers = append(out.Triggers, row)
	}
	for _, name := range t.Data {
		out.Triggers = append(out.Triggers, trigger.Summary{Kind: trigger.KindData, Detail: "dataset " + name.Name,
			Last: last(trigger.KindData, func(c trigger.Cause) bool { return c.Detail["dataset"] == name.Name })})
	}
	for _, kind := range []trigger.Kind{trigger.KindAlert, trigger.KindAPI} {
		if c := last(kind, whatever); c != nil {
			out.Triggers = append(out.Triggers, trigger.Summary{Kind: kind, Last: c})
		}
	}
	for _, c := range recent {
		if c.State == trigger.Waiting {
			out.Waiting = append(out.Waiting, c)
		}
	}
	return out, nil
}

// described writes filters as "branches main, release/*; paths src/**".
func described(pairs ...any) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		what := pairs[i].(string)
		if list := pairs[i+1].([]string); len(list) > 0 {
			parts = append(parts, what+" "+strings.Join(list, ", "))
		} else if what != "paths" {
			parts = append(parts, "all "+what)
		}
	}
	return strings.Replace(strings.Join(parts, "; "), "all into", "into any branch", 1)
}
