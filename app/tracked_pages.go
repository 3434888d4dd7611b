// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"

	"lastro/api/mlflow"
	"lastro/track"
	"lastro/web"
)

// showTracking gives the pages what training code reported.
func (h *House) showTracking(d web.Deps) web.Deps {
	d.Track, d.RunQuery, d.CommitOf = h.Track, mlflow.RunQuery, h.commitOf
	d.ExportRuns = func(ctx context.Context, q track.Query, w io.Writer) error {
		_, err := h.writeRunTable(ctx, q, w, true)
		return err
	}
	return d
}
