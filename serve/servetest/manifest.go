// SPDX-License-Identifier: Apache-2.0

package servetest

import (
	"os"
	"path/filepath"
	"sort"
	"testing"

	"lastro"
)

// Manifest is the manifest of a folder's tree, as the blob store writes it
// (docs/formats/blobs.md); serve's own test holds it against blob.EncodeTree.
func Manifest(t testing.TB, folder string) []byte {
	t.Helper()
	entries := []map[string]any{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		e := map[string]any{"path": filepath.ToSlash(rel), "digest": lastro.DigestOf(text)}
		if len(text) > 0 {
			e["size"] = len(text)
		}
		if info, err := d.Info(); err == nil && info.Mode()&0o111 != 0 {
			e["exec"] = true
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i]["path"].(string) < entries[j]["path"].(string) })
	body, err := lastro.CanonicalJSON(entries)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("lastro-tree/1\n"), body...)
}
