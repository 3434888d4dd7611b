// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"time"

	"lastro"
)

// Bin names deleted things, by id.
type Bin struct {
	Runs         []string `json:"tracked_runs"`
	LoggedModels []string `json:"logged_models"`
	Experiments  []string `json:"experiments"`
}

func (b Bin) empty() bool { return len(b.Runs)+len(b.LoggedModels)+len(b.Experiments) == 0 }

// Purged counts what was removed for good.
type Purged struct {
	Runs         int `json:"tracked_runs"`
	LoggedModels int `json:"logged_models"`
	Experiments  int `json:"experiments"`
	Artifacts    int `json:"artifacts"` // files by name; their bytes go when nothing else needs them
}

func (p *Purged) add(o Purged) {
	p.Runs, p.LoggedModels = p.Runs+o.Runs, p.LoggedModels+o.LoggedModels
	p.Experiments, p.Artifacts = p.Experiments+o.Experiments, p.Artifacts+o.Artifacts
}

// purgeAtOnce bounds a transaction, so that nobody waits long for it.
const purgeAtOnce = 50

// PurgeBefore removes for good what was deleted before a time: tracked runs,
// logged models, and experiments with all that is in them. With dryRun it only
// counts, without artifacts.
func (s *Service) PurgeBefore(ctx context.Context, c Caller, before time.Time, dryRun bool) (Purged, error) {
	var done Purged
	if err := c.mayManage("remove tracked runs for good"); err != nil {
		return done, err
	}
	if dryRun {
		b, err := s.store.Binned(ctx, before, 0)
		return Purged{Runs: len(b.Runs), LoggedModels: len(b.LoggedModels), Experiments: len(b.Experiments)}, err
	}
	for {
		b, err := s.store.Binned(ctx, before, purgeAtOnce)
		if err != nil || b.empty() {
			return done, err
		}
		if len(b.Runs)+len(b.LoggedModels) > 0 {
			b.Experiments = nil // they go last
		}
		n, err := s.purge(ctx, c, b)
		done.add(n)
		if err != nil || n == (Purged{}) {
			return done, err
		}
	}
}

// Purge removes deleted things for good. What is not deleted, or not there, is
// lastro.EInvalid or lastro.ENotFound, and nothing is removed. With an
// experiment goes all that is in it.
func (s *Service) Purge(ctx context.Context, c Caller, b Bin) (Purged, error) {
	if err := c.mayManage("remove things for good"); err != nil {
		return Purged{}, err
	}
	for _, id := range b.Runs {
		if r, err := s.store.RunInfo(ctx, id); err != nil {
			return Purged{}, err
		} else if r.State != Deleted {
			return Purged{}, notDeleted("tracked run " + id)
		}
	}
	for _, id := range b.LoggedModels {
		if _, err := s.store.LoggedModel(ctx, id); err == nil { // those that are deleted are not found
			return Purged{}, notDeleted("logged model " + id)
		}
	}
	var done Purged
	for _, id := range b.Experiments {
		e, err := s.store.Experiment(ctx, id)
		if err != nil {
			return done, err
		}
		if e.State != Deleted {
			return done, notDeleted("experiment " + e.Name)
		}
		for {
			inside, err := s.store.BinnedIn(ctx, id, purgeAtOnce)
			if err != nil {
				return done, err
			}
			if inside.empty() {
				break
			}
			n, err := s.purge(ctx, c, inside)
			if done.add(n); err != nil {
				return done, err
			}
		}
	}
	n, err := s.purge(ctx, c, b)
	done.add(n)
	return done, err
}

func notDeleted(what string) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0716", Msg: what + " is not deleted, so it cannot be removed for good", Hint: "delete it first; until it is removed it can be restored"}
}

func (s *Service) purge(ctx context.Context, c Caller, b Bin) (Purged, error) {
	at := s.clock.Now()
	return s.store.Purge(ctx, b, func(kind, id string) lastro.Event {
		return lastro.NewEvent(at, c.By, kind+".purged", lastro.NewRef(kind, id, ""), nil)
	})
}
