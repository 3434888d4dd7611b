// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"lastro"
	"lastro/deploy"
	"lastro/gate"
	"lastro/registry"
)

// versionPage is a version's passport: where it serves, what was decided and
// on which values, for whom it works, what it was made from.
type versionPage struct {
	Version  registry.Version
	Tags     map[string]string // without those that repeat what Version says
	State    string            // css class of the verdict
	Verdict  string
	Why      []phrase
	Intact   string // whether the stored bytes are those decided about: intact, changed or "" = not known
	Decision *gate.Decision
	Rules    []ruleRow
	Waivers  []gate.Waiver
	Approve  string // command to waive, "" when nothing waits
	Reports  reports
	Made     []madeOf
	Rollouts []loopItem
	History  []registry.AliasMove
}

// madeOf is one link of the chain from data to environment.
type madeOf struct{ Title, Link, Note string }

func (p *Pages) version(r *http.Request, l Lang) (string, page, error) {
	n, err := strconv.Atoi(r.PathValue("version"))
	if err != nil {
		return "", page{}, lastro.Errorf(lastro.ENotFound, "there is no version %q", r.PathValue("version"))
	}
	ctx := r.Context()
	v, err := p.Registry.Version(ctx, r.PathValue("model"), n)
	if err != nil {
		return "", page{}, err
	}
	body := versionPage{Version: v, Tags: maps.Clone(v.Tags)}
	maps.DeleteFunc(body.Tags, func(k, _ string) bool { return strings.HasPrefix(k, "lastro.") })
	allowed, reason, err := p.Gates.Allows(ctx, v.Model, v.Digest, p.now())
	if err != nil {
		return "", page{}, err
	}
	if err := p.decision(ctx, l, v, allowed, &body); err != nil {
		return "", page{}, err
	}
	places, err := p.placesOf(ctx, v)
	if err != nil {
		return "", page{}, err
	}
	body.State, body.Verdict = versionVerdict(l, v, body.Decision, allowed, places)
	body.Why = versionWhy(l, body, allowed, reason)
	if body.Intact, err = p.intact(ctx, v); err != nil {
		return "", page{}, err
	}
	if body.Reports, err = p.reportsOf(ctx, l, v, body.Decision); err != nil {
		return "", page{}, err
	}
	body.Made, body.Rollouts = madeFrom(l, v, body.Decision, places), rolloutsOf(l, places)
	if body.History, err = p.aliasMoves(ctx, v); err != nil {
		return "", page{}, err
	}
	return "version.html", page{Title: nameVersion(v), Nav: "models", Body: body}, nil
}

func nameVersion(v registry.Version) string { return fmt.Sprintf("%s@%d", v.Model, v.Number) }

// intact asks lineage whether the stored bytes still give the digest.
func (p *Pages) intact(ctx context.Context, v registry.Version) (string, error) {
	why, err := p.Why(ctx, nameVersion(v))
	if err != nil {
		return "", err
	}
	for _, line := range why.Lines {
		switch {
		case line.Kind != "bytes" || line.OK == nil:
		case *line.OK:
			return "intact", nil
		default:
			return "changed", nil
		}
	}
	return "", nil
}

func (p *Pages) aliasMoves(ctx context.Context, v registry.Version) ([]registry.AliasMove, error) {
	moves, err := p.Registry.AliasHistory(ctx, v.Model, "")
	if err != nil {
		return nil, err
	}
	var out []registry.AliasMove
	for _, m := range moves {
		if m.To == v.Number || m.From == v.Number {
			out = append(out, m)
		}
	}
	return out, nil
}

// versionVerdict is the sentence: where it serves, else why it does not.
func versionVerdict(l Lang, v registry.Version, d *gate.Decision, allowed bool, places []place) (state, text string) {
	name := nameVersion(v)
	for _, pl := range places {
		if pl.champion {
			return "passed", l.T("version.serves", name, l.Percent(pl.share, 0), pl.env)
		}
	}
	for _, pl := range places {
		switch {
		case pl.candidate && pl.rollout != nil && pl.rollout.State == deploy.Starting:
			return "running", l.T("live.starting", name, pl.env)
		case pl.candidate:
			return "running", l.T("version.candidate", name, l.Percent(pl.share, 0), pl.env)
		}
	}
	switch {
	case d == nil:
		return "skipped", l.T("version.unasked", name)
	case d.Verdict == gate.Failed:
		return "failed", l.Plural("version.blocked", len(notHeld(*d)), name, len(notHeld(*d)), len(d.Results))
	case !allowed:
		return "waiting", l.Plural("version.waiting", len(notHeld(*d)), name, len(notHeld(*d)), len(d.Results))
	}
	for _, pl := range places {
		if pl.rollout != nil && pl.rollout.State == deploy.RolledBack {
			return "failed", l.T("version.rolled_back", name, pl.env)
		}
	}
	for _, pl := range places {
		if pl.rollout != nil && pl.rollout.State == deploy.Succeeded {
			return "skipped", l.T("version.served", name, pl.env)
		}
	}
	return "passed", l.T("version.may", name)
}

// notHeld lists the rules that block or wait.
func notHeld(d gate.Decision) []string {
	var out []string
	for _, r := range d.Results {
		if r.Outcome == gate.Failed || r.Outcome == gate.Waiting {
			out = append(out, r.Rule.Name)
		}
	}
	return out
}

// versionWhy is the gate's answer in one line; reason is the gate's own, which
// knows of waivers that ran out.
func versionWhy(l Lang, body versionPage, allowed bool, reason string) []phrase {
	d := body.Decision
	if d == nil {
		return []phrase{{Text: l.T("version.undecided_why")}}
	}
	missed := notHeld(*d)
	out := []phrase{{Text: l.T("version.held", len(d.Results)-len(missed), len(d.Results), d.ID)}}
	if len(missed) > 0 {
		out[0].Text += " " + l.Plural("version.not_held", len(missed), strings.Join(missed, ", "))
	}
	if !allowed && len(body.Waivers) > 0 {
		out = append(out, phrase{Said: reason})
	}
	return out
}

// madeFrom is the chain from data to where the version serves.
func madeFrom(l Lang, v registry.Version, d *gate.Decision, places []place) []madeOf {
	var out []madeOf
	for _, x := range v.DataVersions {
		out = append(out, madeOf{Title: x.Dataset + "@" + x.Digest.Short(), Note: l.T("made.data")})
	}
	if v.Run != "" {
		out = append(out, madeOf{l.T("made.run", v.Run), "/runs/" + v.Run, v.Step})
	}
	if v.TrackedRun != "" {
		out = append(out, madeOf{Title: l.T("made.tracked"), Note: shorten(v.TrackedRun, 12)})
	}
	out = append(out, madeOf{Title: nameVersion(v), Note: v.Digest.Short()})
	if d != nil {
		out = append(out, madeOf{d.ID, "#decision", l.T("outcome." + string(d.Verdict))})
	}
	for _, pl := range places {
		if pl.champion || pl.candidate {
			out = append(out, madeOf{pl.env, "/live/" + pl.env, l.Percent(pl.share, 0)})
		}
	}
	return out
}
