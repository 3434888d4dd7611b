// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"testing"
	"time"

	"lastro"
	"lastro/track"
)

// TestCollectEmptiesTheBin: the artifacts of what was deleted long enough ago
// go with it, those of others stay, and what two runs share stays for the one.
func TestCollectEmptiesTheBin(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	ctx, person := t.Context(), track.Caller{By: "user:ana"}
	put := func(name string, content []byte) (run string, d lastro.Digest) {
		t.Helper()
		r, err := h.Track.CreateRun(ctx, person, track.Run{ExperimentID: "0", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		d, n, err := h.Blobs.Put(ctx, bytes.NewReader(content))
		if err == nil {
			err = h.Track.PutArtifact(ctx, person, track.RunRoot("0", r.ID)+"/model.bin", d, n)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r.ID, d
	}
	large := func(b byte) []byte { return bytes.Repeat([]byte{b}, 200_000) }
	_, shared := put("stays", large('s'))
	goes, own := put("goes", large('g'))
	both, _ := put("shares", large('s'))
	for _, id := range []string{goes, both} {
		if err := h.Track.SetRunState(ctx, person, id, track.Deleted); err != nil {
			t.Fatal(err)
		}
	}
	has := func(d lastro.Digest) bool {
		ok, err := h.Blobs.Has(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for _, c := range []struct {
		what   string
		o      CollectOptions
		purged int
		there  bool
	}{
		{"never", CollectOptions{Deleted: -1}, 0, true},
		{"not long enough ago", CollectOptions{Deleted: DefaultDeleted}, 0, true},
		{"a dry run", CollectOptions{DryRun: true}, 2, true},
		{"at once", CollectOptions{}, 2, false},
	} {
		time.Sleep(2 * time.Millisecond)
		got, err := h.Collect(ctx, c.o)
		if err != nil || got.Purged.Runs != c.purged {
			t.Fatalf("%s: %+v, %v", c.what, got.Purged, err)
		}
		if there := c.there || has(own); there != c.there { // asking marks content as used: only at the end
			t.Errorf("%s: the artifact is there", c.what)
		}
	}
	if !has(shared) {
		t.Error("what another run needs is gone")
	}
}
