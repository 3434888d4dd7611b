// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lastro"
)

// TreeMagic is how every manifest begins, and no blob does: so a digest never
// names both a file and a folder.
const TreeMagic = "lastro-tree/1\n"

// MaxEntries bounds a tree; more is a mistake such as an environment kept as an output.
const MaxEntries = 1_000_000

// EncodeTree returns the manifest of a tree: TreeMagic and the canonical JSON
// of its entries sorted by path. The tree's digest is that of these bytes.
func EncodeTree(entries []Entry) ([]byte, error) {
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	if entries == nil {
		entries = []Entry{}
	}
	body, err := lastro.CanonicalJSON(entries)
	if err != nil {
		return nil, fmt.Errorf("encode a manifest: %w", err)
	}
	return append([]byte(TreeMagic), body...), nil
}

// DecodeTree is the inverse of EncodeTree. A manifest is data from outside:
// paths that leave the tree, are not clean or come twice are ETampered.
func DecodeTree(manifest []byte) ([]Entry, error) {
	body, ok := bytes.CutPrefix(manifest, []byte(TreeMagic))
	if !ok {
		return nil, lastro.Errorf(lastro.EInvalid, "this digest names a file, not a folder")
	}
	var entries []Entry
	if err := json.Unmarshal(body, &entries); err != nil {
		return nil, lastro.Errorf(lastro.ETampered, "a folder's manifest cannot be read: %w", err)
	}
	for i, e := range entries {
		local := e.Path != "." && path.Clean(e.Path) == e.Path && filepath.IsLocal(filepath.FromSlash(e.Path))
		if !local || (i > 0 && entries[i-1].Path >= e.Path) {
			return nil, lastro.Errorf(lastro.ETampered, "a folder's manifest names %q, which no folder can hold", e.Path)
		}
		if _, err := lastro.ParseDigest(string(e.Digest)); err != nil && !e.Dir {
			return nil, lastro.Errorf(lastro.ETampered, "a folder's manifest has no digest for %q", e.Path)
		}
	}
	return entries, nil
}

// Found is an entry of a folder on disk: its digest is not known yet.
type Found struct {
	Entry
	From string // path of the file to read: differs from the entry's for a link
	Info fs.FileInfo
}

// Walk lists what a tree of dir holds, by the rules of Store.PutTree.
func Walk(dir string) ([]Found, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", dir, err)
	}
	var found []Found
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if len(found) >= MaxEntries {
			return lastro.Errorf(lastro.EInvalid, "folder %s has more than %d files", dir, MaxEntries)
		}
		f, keep, err := inspect(root, p, filepath.ToSlash(rel), d)
		if keep {
			found = append(found, f)
		}
		return err
	})
	return found, err
}

// inspect turns one directory entry into an entry of the tree; keep is false
// for a folder that is not empty.
func inspect(root, p, rel string, d fs.DirEntry) (f Found, keep bool, err error) {
	f = Found{Entry: Entry{Path: rel}, From: p}
	switch {
	case d.IsDir():
		names, err := os.ReadDir(p)
		f.Dir = true
		return f, err == nil && len(names) == 0, err
	case d.Type()&fs.ModeSymlink != 0:
		if f.From, err = insideTarget(root, p, rel); err != nil {
			return f, false, err
		}
	}
	if f.Info, err = os.Lstat(f.From); err != nil {
		return f, false, err
	}
	if !f.Info.Mode().IsRegular() {
		return f, false, &lastro.Error{Code: lastro.EInvalid, ID: "L0420", Msg: fmt.Sprintf("%s is no file or folder (%s)", rel, f.Info.Mode().Type()),
			Hint: "devices, sockets and pipes cannot be kept: write a file"}
	}
	f.Exec, f.Size = f.Info.Mode()&0o111 != 0, f.Info.Size()
	return f, true, nil
}

// insideTarget resolves a symbolic link that must end at something inside root.
func insideTarget(root, p, rel string) (string, error) {
	target, err := filepath.EvalSymlinks(p)
	if err == nil && strings.HasPrefix(target, root+string(filepath.Separator)) {
		if info, err := os.Stat(target); err == nil && info.Mode().IsRegular() {
			return target, nil
		}
	}
	return "", &lastro.Error{Code: lastro.EInvalid, ID: "L0421", Msg: fmt.Sprintf("%s is a symbolic link to something that is not a file of the same folder", rel),
		Hint: "put the file itself there: a link would be broken where the folder is used"}
}
