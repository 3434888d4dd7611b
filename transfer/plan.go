// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

// Plan says what of a source is moved, and what gets another name or number
// because its own is taken.
type Plan struct {
	Experiments  []string          // names or ids; nil = all, and then the registry too
	Rename       map[string]string // names of experiments by id
	Renumber     map[string]string // ids of experiments
	RenameModels map[string]string // names of models
	NoArtifacts  bool
	NoRegistry   bool
	NoTraces     bool
}

// wants reports whether an experiment is moved.
func (p Plan) wants(e track.Experiment) bool {
	return len(p.Experiments) == 0 || slices.Contains(p.Experiments, e.Name) || slices.Contains(p.Experiments, e.ID)
}

// registry reports whether models are moved.
func (p Plan) registry() bool { return !p.NoRegistry && len(p.Experiments) == 0 }

// planned is a source as it shall be here: what it gives has the names and
// numbers of the plan. Artifact roots stay those of the source.
type planned struct {
	Source
	plan Plan
	back map[string]string // id there of an experiment by its id here
}

// Planned returns s as the plan wants it.
func Planned(s Source, p Plan) Source {
	back := map[string]string{}
	for from, to := range p.Renumber {
		back[to] = from
	}
	return planned{s, p, back}
}

func (s planned) there(experiment string) string {
	if id, ok := s.back[experiment]; ok {
		return id
	}
	return experiment
}

// Experiments implements Source.
func (s planned) Experiments(ctx context.Context, fn func(track.Experiment) error) error {
	return s.Source.Experiments(ctx, func(e track.Experiment) error {
		if !s.plan.wants(e) {
			return nil
		}
		if name, ok := s.plan.Rename[e.ID]; ok {
			e.Name = name
		}
		if id, ok := s.plan.Renumber[e.ID]; ok {
			e.ID = id
		}
		e.Tags = foreign(e.Tags)
		return fn(e)
	})
}

// Runs implements Source.
func (s planned) Runs(ctx context.Context, experiment string, fn func(Run) error) error {
	return s.Source.Runs(ctx, s.there(experiment), func(r Run) error {
		r.ExperimentID, r.Tags = experiment, foreign(r.Tags)
		return fn(r)
	})
}

// LoggedModels implements Source.
func (s planned) LoggedModels(ctx context.Context, experiment string, fn func(LoggedModel) error) error {
	return s.Source.LoggedModels(ctx, s.there(experiment), func(m LoggedModel) error {
		m.ExperimentID, m.Tags = experiment, foreign(m.Tags)
		return fn(m)
	})
}

// Models implements Source.
func (s planned) Models(ctx context.Context, fn func(registry.Model) error) error {
	if !s.plan.registry() {
		return nil
	}
	return s.Source.Models(ctx, func(m registry.Model) error {
		m.Name, m.Tags = s.model(m.Name), registry.ClientTags(m.Tags)
		return fn(m)
	})
}

func (s planned) model(there string) string {
	if name, ok := s.plan.RenameModels[there]; ok {
		return name
	}
	return there
}

// Versions implements Source.
func (s planned) Versions(ctx context.Context, model string, fn func(Version) error) error {
	there := model
	for from, to := range s.plan.RenameModels {
		if to == model {
			there = from
		}
	}
	return s.Source.Versions(ctx, there, func(v Version) error {
		v.Model, v.Tags = model, registry.ClientTags(v.Tags)
		return fn(v)
	})
}

// Files implements Source.
func (s planned) Files(ctx context.Context, root string, fn func(File) error) error {
	if s.plan.NoArtifacts {
		return nil
	}
	return s.Source.Files(ctx, root, fn)
}

const reserved = "lastro."

// foreign keeps what another lastro says of where something comes from as plain
// tags: here it is true of nothing.
func foreign(tags map[string]string) map[string]string {
	out := make(map[string]string, len(tags))
	for k, v := range tags {
		if strings.HasPrefix(k, reserved) {
			k = "source." + k
		}
		out[k] = v
	}
	return out
}

// ParsePairs reads OLD=NEW as the flags of the command have it.
func ParsePairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range list {
		from, to, ok := strings.Cut(text, "=")
		if !ok || from == "" || to == "" {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0766", Msg: fmt.Sprintf("--%s %q cannot be read", flag, text), Hint: "write OLD=NEW"}
		}
		out[from] = to
	}
	return out, nil
}

// Check refuses a plan that no source could be moved by.
func (p Plan) Check() error {
	taken := map[string]bool{}
	for from, to := range p.Renumber {
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n <= 0 || to != strconv.FormatInt(n, 10) || taken[to] || from == "0" {
			return &lastro.Error{Code: lastro.EInvalid, ID: "L0766", Msg: fmt.Sprintf("experiment %s cannot become %q", from, to), Hint: "an id is a number from 1 that no other experiment has; 0 stays 0"}
		}
		taken[to] = true
	}
	return nil
}
