// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"lastro"
)

// ModelDir is where the model with this digest lies below a serve directory;
// its manifest lies beside it, at ManifestPath.
func ModelDir(dir string, digest lastro.Digest) string {
	return filepath.Join(dir, "models", digest.Hex())
}

// ManifestPath is where the manifest of a model's tree lies.
func ManifestPath(dir string, digest lastro.Digest) string { return ModelDir(dir, digest) + ".tree" }

// verifyModel hashes every file of a model's folder and compares it with the
// manifest, and the manifest with the digest. A file too many is refused like
// a changed one: code beside a model is loaded with it.
func verifyModel(dir string, digest lastro.Digest) error {
	if _, err := lastro.ParseDigest(string(digest)); err != nil {
		return err
	}
	manifest, err := os.ReadFile(ManifestPath(dir, digest))
	if err != nil {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0621", Msg: fmt.Sprintf("the manifest of model %s is not there", digest.Short()),
			Hint: "deploy the version again: lastro deploy", Err: err}
	}
	if got := lastro.DigestOf(manifest); got != digest {
		return tampered(digest, fmt.Sprintf("its manifest has the digest %s", got.Short()))
	}
	want, err := parseManifest(manifest)
	if err != nil {
		return tampered(digest, err.Error())
	}
	return verifyFiles(ModelDir(dir, digest), digest, want)
}

func verifyFiles(folder string, digest lastro.Digest, want map[string]lastro.Digest) error {
	seen := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		expected, ok := want[rel]
		if !ok || !d.Type().IsRegular() {
			return tampered(digest, fmt.Sprintf("%s is not in its manifest", rel))
		}
		seen[rel] = true
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		got, _, err := lastro.DigestReader(f)
		if err == nil && got != expected {
			err = tampered(digest, fmt.Sprintf("%s is %s, its manifest says %s", rel, got.Short(), expected.Short()))
		}
		return err
	})
	if err != nil {
		return err
	}
	var missing []string
	for path := range want {
		if !seen[path] {
			missing = append(missing, path)
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		return tampered(digest, missing[0]+" is missing")
	}
	return nil
}

func tampered(digest lastro.Digest, what string) error {
	return &lastro.Error{Code: lastro.ETampered, ID: "L0620", Msg: fmt.Sprintf("the bytes of model %s are not what was registered: %s", digest.Short(), what),
		Hint: "nothing was loaded; find out who changed the files, then deploy the version again"}
}

// treeMagic begins every manifest of a tree; the rest is a JSON list of its
// entries (docs/formats/blobs.md).
const treeMagic = "lastro-tree/1\n"

// parseManifest reads a tree's manifest into digests by path.
func parseManifest(text []byte) (map[string]lastro.Digest, error) {
	body, ok := bytes.CutPrefix(text, []byte(treeMagic))
	if !ok {
		return nil, errors.New("its digest names a file, not a folder")
	}
	var entries []struct {
		Path   string        `json:"path"`
		Dir    bool          `json:"dir"`
		Digest lastro.Digest `json:"digest"`
	}
	if err := json.Unmarshal(body, &entries); err != nil {
		return nil, fmt.Errorf("its manifest cannot be read: %w", err)
	}
	want := make(map[string]lastro.Digest, len(entries))
	for _, e := range entries {
		if !e.Dir {
			want[e.Path] = e.Digest
		}
	}
	return want, nil
}
