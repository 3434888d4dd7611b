// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"lastro"
)

// TreeMagic is how every manifest begins, and no blob does: so a digest never
// names both a file and a folder.
const TreeMagic = "lastro-tree/1\n"

// MaxEntries bounds a tree; more is a mistake such as an environment kept as an output.
const MaxEntries = 2_000_000

// EncodeTree returns the manifest of a tree: TreeMagic and the canonical JSON
// of its entries sorted by path. The tree's digest is that of these bytes.
func EncodeTree(entries []Entry) ([]byte, error) {
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	var out bytes.Buffer
	m := NewManifestWriter(&out)
	for _, e := range entries {
		if err := m.Add(e); err != nil {
			return nil, err
		}
	}
	err := m.End()
	return out.Bytes(), err
}

// DecodeTree is the inverse of EncodeTree, by the rules of EachEntry.
func DecodeTree(manifest []byte) ([]Entry, error) {
	entries := []Entry{}
	err := EachEntry(bytes.NewReader(manifest), func(e Entry) error {
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// Found is something in a folder on disk that belongs into its tree.
type Found struct {
	Path string // from the folder, with slashes
	Full string // where it is on disk
	Dir  bool   // an empty folder
	Link bool
}

// Walk calls fn for everything that a tree of dir holds, sorted by path. dir
// is free of symbolic links. Devices, sockets and pipes are found too: Look
// refuses them. It holds the names of the folders on the way in memory.
func Walk(dir string, fn func(Found) error) error {
	return walk(dir, "", fn)
}

func walk(dir, prefix string, fn func(Found) error) error {
	steps, err := list(dir)
	if err != nil {
		return err
	}
	for _, s := range steps {
		name := strings.TrimSuffix(s.key, "/")
		full := dir + string(filepath.Separator) + name
		switch {
		case !utf8.ValidString(name):
			return &lastro.Error{Code: lastro.EInvalid, ID: "L0430", Msg: fmt.Sprintf("the name of %q is not UTF-8", prefix+name), Hint: "give the file another name"}
		case !s.dir:
			err = fn(Found{Path: prefix + name, Full: full, Link: s.link})
		case name != s.key:
			err = walk(full, prefix+s.key, fn)
		default:
			if empty, eerr := isEmpty(full); eerr != nil {
				err = eerr
			} else if empty {
				err = fn(Found{Path: prefix + name, Full: full, Dir: true})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step is one thing to do in a folder. A folder in it is done twice: as the
// empty folder that it may be, at its name, and what is below it at its name
// and a slash. So paths come sorted as a whole: "a", "a-b", "a/c".
type step struct {
	key       string
	dir, link bool
}

func list(dir string) ([]step, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", dir, err)
	}
	defer f.Close()
	names, err := f.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", dir, err)
	}
	steps := make([]step, 0, len(names))
	for _, n := range names {
		steps = append(steps, step{key: n.Name(), dir: n.IsDir(), link: n.Type()&fs.ModeSymlink != 0})
		if n.IsDir() {
			steps = append(steps, step{key: n.Name() + "/", dir: true})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return strings.Compare(a.key, b.key) })
	return steps, nil
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0, nil
}

// Look resolves what was found below root, which is free of symbolic links:
// the path of the file to read and what the system says of it. A link that
// ends at no file inside root, and what is no file, are EInvalid.
func (f Found) Look(root string) (string, fs.FileInfo, error) {
	from := f.Full
	if f.Link {
		target, err := filepath.EvalSymlinks(from)
		if err != nil || !strings.HasPrefix(target, root+string(filepath.Separator)) {
			return "", nil, badLink(f.Path)
		}
		from = target
	}
	info, err := os.Lstat(from)
	if err != nil {
		return "", nil, err
	}
	switch {
	case info.Mode().IsRegular():
		return from, info, nil
	case f.Link:
		return "", nil, badLink(f.Path)
	}
	return "", nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0420", Msg: fmt.Sprintf("%s is no file or folder (%s)", f.Path, info.Mode().Type()),
		Hint: "devices, sockets and pipes cannot be kept: write a file"}
}

func badLink(path string) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0421", Msg: fmt.Sprintf("%s is a symbolic link to something that is not a file of the same folder", path),
		Hint: "put the file itself there: a link would be broken where the folder is used"}
}
