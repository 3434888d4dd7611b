// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"strconv"
	"strings"

	"lastro"
	"lastro/deploy"
	"lastro/gate"
)

func (l *loader) translateDeploy() {
	for _, e := range l.file.Deploy.Entries {
		n := e.Value
		spec := deploy.Spec{Name: e.Key.Value, Pos: e.Key.At, Strategy: deploy.Strategy{Kind: "all-at-once"}}
		switch {
		case n.Model.Given():
			spec.Model, spec.Alias = l.modelRef(n.Model)
		case !n.Service.Given() && !n.Release.Given() && !l.hasUnsupportedFrom(e.Key.At.Line, n.At.Line):
			l.report(e.Key.At, "L0103", fmt.Sprintf("environment %q needs the key %q", e.Key.Value, "model"), "such as  model: "+l.modelName()+"@champion")
		}
		if n.Strategy != nil {
			spec.Strategy = l.strategy(n.Strategy)
		}
		for _, t := range n.RollbackIf.Items {
			if l.compiles(t, gate.ScopeRollback) {
				spec.RollbackIf = append(spec.RollbackIf, t.Value)
			}
		}
		if len(n.RollbackIf.Items) > 0 && spec.Strategy.Kind != "canary" && n.Strategy == nil {
			l.report(n.RollbackIf.At, "L0105", "rollback_if watches a canary, and this environment has none", "add  strategy: {canary: [10%, 50%, 100%], min_requests: 200}")
		}
		l.project.Environments = append(l.project.Environments, spec)
	}
}

func (l *loader) hasUnsupportedFrom(from, to int) bool {
	for _, p := range l.problems {
		if p.Code == lastro.EUnsupported && p.Pos.Line >= from && p.Pos.Line <= to+1 {
			return true
		}
	}
	return false
}

func (l *loader) modelName() string {
	if l.project.Model == nil || l.project.Model.Name == "" {
		return "MODEL"
	}
	return l.project.Model.Name
}

// modelRef reads model@alias.
func (l *loader) modelRef(t Text) (model, alias string) {
	model, alias, hasAlias := strings.Cut(t.Value, "@")
	switch {
	case l.project.Model == nil:
		l.report(t.At, "L0161", fmt.Sprintf("there is no model %q: the file registers none", model), "add  model: {name: "+model+", from: train.model}")
	case model != l.project.Model.Name:
		hint := fmt.Sprintf("the model is %s", l.project.Model.Name)
		if lastro.Nearest(model, []string{l.project.Model.Name}) != "" {
			hint = fmt.Sprintf("did you mean `%s@%s`?", l.project.Model.Name, alias)
		}
		l.report(t.At, "L0161", fmt.Sprintf("there is no model %q", model), hint)
	case !hasAlias:
		l.report(t.At, "L0161", fmt.Sprintf("%q says no alias", t.Value), fmt.Sprintf("write %s@champion", model))
	case !aliasName.MatchString(alias):
		l.report(t.At, "L0161", fmt.Sprintf("%q is no alias", alias), "an environment follows an alias such as champion")
	default:
		known := append([]string{"champion", "challenger", "candidate"}, l.project.Model.Protect...)
		if near := lastro.Nearest(alias, known); near != "" && near != alias {
			l.report(t.At, "L0161", fmt.Sprintf("there is no alias %q", alias), fmt.Sprintf("did you mean `%s@%s`?", model, near))
		}
	}
	return model, alias
}

func (l *loader) strategy(n *StrategyNode) deploy.Strategy {
	s := deploy.Strategy{Kind: "all-at-once", Hold: duration(n.Hold), MinRequests: n.MinRequests.Value}
	if n.Kind.Given() {
		return s
	}
	if n.Canary.At.Line == 0 {
		if !n.Shadow.Given() && !l.hasUnsupportedFrom(n.At.Line, n.At.Line) {
			l.report(n.At, "L0103", `"strategy" needs the key "canary"`, "strategy: all-at-once, or {canary: [10%, 50%, 100%], min_requests: 200}")
		}
		return s
	}
	s.Kind = "canary"
	for _, t := range n.Canary.Items {
		share, err := strconv.ParseFloat(strings.TrimSuffix(t.Value, "%"), 64)
		if err != nil {
			continue // the decoder has said so
		}
		share /= 100
		if last := len(s.Steps) - 1; share <= 0 || share > 1 || last >= 0 && share <= s.Steps[last] {
			l.report(t.At, "L0106", fmt.Sprintf("a canary's shares ascend to 100%%, and %s does not", t.Value), "such as [10%, 50%, 100%]")
		}
		s.Steps = append(s.Steps, share)
	}
	switch {
	case len(n.Canary.Items) == 0:
		l.report(n.Canary.At, "L0106", "a canary needs shares", "such as [10%, 50%, 100%]")
	case len(s.Steps) > 0 && s.Steps[len(s.Steps)-1] < 1:
		l.report(n.Canary.Items[len(n.Canary.Items)-1].At, "L0106", "the last share of a canary is 100%", "such as [10%, 50%, 100%]")
	}
	return s
}

// Environment returns a declared environment; "local" exists for every
// project with a model: it follows the champion, all at once.
func (p *Project) Environment(name string) (deploy.Spec, bool) {
	for _, e := range p.Environments {
		if e.Name == name {
			return e, true
		}
	}
	if name == "local" && p.Model != nil {
		return deploy.Spec{Name: name, Model: p.Model.Name, Alias: "champion", Strategy: deploy.Strategy{Kind: "all-at-once"}}, true
	}
	return deploy.Spec{}, false
}
