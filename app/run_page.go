// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"lastro"
	"lastro/pipeline"
)

// OpenLog opens what an attempt printed; of a cached step, what the attempt
// printed that did the work. ENotFound when there is nothing.
func (h *House) OpenLog(ctx context.Context, s pipeline.StepRun) (io.ReadSeekCloser, error) {
	if s.Log == "" && s.CachedFrom != 0 && s.CachedFrom != s.Run {
		steps, err := h.Runs.StepRuns(ctx, s.CachedFrom)
		if err != nil {
			return nil, err
		}
		for _, old := range steps {
			if old.Step == s.Step && old.State == pipeline.Succeeded && old.Key == s.Key {
				s = old
			}
		}
	}
	none := lastro.Errorf(lastro.ENotFound, "%s printed nothing", s.Ref())
	// The path comes from the record; it is held to be below the logs all the same.
	if s.Log == "" || !filepath.IsLocal(filepath.FromSlash(s.Log)) {
		return nil, none
	}
	f, err := os.Open(filepath.Join(h.Paths.State, filepath.FromSlash(s.Log)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, none
	}
	return f, err
}
