// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"lastro"
	"lastro/blob"
	"lastro/store"
)

// Fsck reads all stored content again. With repair it moves what is damaged
// out of the store, so that it is made again instead of being used. Problems
// are in the answer; L0434 (exit 8) says that there are some. progress may be nil.
func (h *House) Fsck(ctx context.Context, repair bool, progress func(objects int, bytes int64)) (blob.Checked, error) {
	content := store.NewBlobs(h.DB)
	roots := func(fn func(blob.Root) error) error {
		runs, err := content.Held(ctx)
		if err != nil {
			return err
		}
		return content.Roots(ctx, runs, fn)
	}
	checked, err := blob.Check(ctx, h.Blobs, roots, repair, progress)
	if err != nil || len(checked.Problems) == 0 {
		return checked, err
	}
	damaged, missing := 0, 0
	for _, p := range checked.Problems {
		if p.Missing {
			missing++
		} else {
			damaged++
		}
	}
	e := &lastro.Error{Code: lastro.ETampered, ID: "L0434", Msg: fmt.Sprintf("%d of %d stored contents are damaged, %d are missing", damaged, checked.Objects, missing),
		Hint: "lastro fsck --repair moves what is damaged aside; then a run makes it again: lastro run"}
	if repair || damaged == 0 {
		e.Hint = "lastro run makes outputs again; what a model or a decision needs comes from a backup"
	}
	return checked, e
}
