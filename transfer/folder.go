// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"lastro"
)

// folders are where the artifacts of a database file are. A database says where
// by address, and an address of a foreign file could name anything on this
// machine: so nothing is read that is not below a folder which the person who
// imports has named, or which lies beside the database.
type folders struct {
	roots []folder
	named bool // the person named them
}

type folder struct {
	dir  string // absolute
	root *os.Root
}

// openFolders opens the folder that was named, or those beside the database
// that MLflow's servers use.
func openFolders(beside, named string) (f folders, err error) {
	dirs := []string{filepath.Join(beside, "mlartifacts"), filepath.Join(beside, "mlruns")}
	if named != "" {
		f.named = true
		if named, err = filepath.Abs(named); err != nil {
			return f, err
		}
		dirs = []string{named}
	}
	for _, dir := range dirs {
		root, err := os.OpenRoot(dir)
		if errors.Is(err, fs.ErrNotExist) && !f.named {
			continue
		}
		if err != nil {
			return f, &lastro.Error{Code: lastro.ENotFound, ID: "L0763", Msg: fmt.Sprintf("the folder of artifacts %s cannot be read", dir),
				Hint: "name the folder that MLflow's server was started with: --artifacts DIR", Err: err}
		}
		f.roots = append(f.roots, folder{dir, root})
	}
	return f, nil
}

func (f folders) close() (err error) {
	for _, r := range f.roots {
		err = errors.Join(err, r.root.Close())
	}
	return err
}

// ErrNoFiles says that the files of an artifact root cannot be read from here.
type ErrNoFiles struct{ Root, Why string }

// Error says it.
func (e *ErrNoFiles) Error() string { return fmt.Sprintf("%s: %s", e.Root, e.Why) }

// layout is the end of an artifact root as MLflow makes it: EXPERIMENT/RUN/artifacts,
// EXPERIMENT/models/MODEL/artifacts or EXPERIMENT/traces/TRACE/artifacts, and what is below.
var layout = regexp.MustCompile(`(?:^|/)([0-9]+/(?:[0-9a-f]{32}|models/m-[0-9a-f]{32}|traces/[A-Za-z0-9._-]+)/artifacts(?:/.*)?)$`)

// find returns the folder, and the name in it, of an artifact root.
func (f folders) find(address string) (folder, string, error) {
	scheme, rest, local := splitAddress(address)
	var names []string // below a folder, without saying which
	if !local || f.named {
		if m := layout.FindStringSubmatch(rest); m != nil {
			names = append(names, m[1])
		}
	}
	if scheme == "mlflow-artifacts" {
		names = append(names, strings.TrimPrefix(rest, "/"))
	}
	for _, r := range f.roots {
		if local {
			full := rest
			if !filepath.IsAbs(full) {
				full = filepath.Join(filepath.Dir(r.dir), full)
			}
			if name, err := filepath.Rel(r.dir, full); err == nil && filepath.IsLocal(name) && r.is(name) {
				return r, filepath.ToSlash(name), nil
			}
		}
		for _, name := range names {
			if name = path.Clean(name); filepath.IsLocal(name) && r.is(name) {
				return r, name, nil
			}
		}
	}
	switch {
	case len(f.roots) > 0 && (scheme == "mlflow-artifacts" || f.named):
		return folder{}, "", nil // a root that was never written to has no folder
	case local && len(f.roots) > 0 && f.below(rest):
		return folder{}, "", nil
	case scheme == "mlflow-artifacts" || local:
		return folder{}, "", &ErrNoFiles{address, "its folder is not beside the database; name it: --artifacts DIR"}
	}
	return folder{}, "", &ErrNoFiles{address, "lastro does not read " + scheme + " itself; copy it to a folder and name that (--artifacts DIR), or import from the server's address"}
}

// below reports whether a path is below one of the folders.
func (f folders) below(full string) bool {
	for _, r := range f.roots {
		if name, err := filepath.Rel(r.dir, full); err == nil && filepath.IsLocal(name) {
			return true
		}
	}
	return false
}

// is reports whether there is something at a name, without following it outside.
func (f folder) is(name string) bool {
	_, err := f.root.Stat(filepath.FromSlash(name))
	return err == nil
}

// splitAddress splits an artifact root; local says that it is a path of the
// machine on which the server ran.
func splitAddress(address string) (scheme, rest string, local bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return "", address, true
	}
	rest = u.Path
	if rest == "" {
		rest = u.Opaque
	}
	return u.Scheme, rest, u.Scheme == "file"
}

// Files implements Source.
func (d *Database) Files(ctx context.Context, root string, fn func(File) error) error {
	in, name, err := d.folders.find(root)
	if err != nil || in.root == nil {
		return err
	}
	return fs.WalkDir(in.root.FS(), name, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !e.Type().IsRegular(): // a folder, or what nobody logged
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		below := strings.TrimPrefix(strings.TrimPrefix(p, name), "/")
		if below == "" {
			below = path.Base(p)
		}
		return fn(File{Path: below, Size: info.Size()})
	})
}

// Open implements Source.
func (d *Database) Open(_ context.Context, root, file string) (io.ReadCloser, error) {
	in, name, err := d.folders.find(root)
	if err != nil {
		return nil, err
	}
	if in.root == nil {
		return nil, fs.ErrNotExist
	}
	return in.root.Open(filepath.FromSlash(path.Join(name, file)))
}
