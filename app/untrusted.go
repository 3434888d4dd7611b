// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/project"
	"lastro/source"
)

// protected are the files that a fork cannot change for its own run: the
// pipeline with its gates, and everything that they are read from (SECURITY B7).
func protected(p *project.Project) []string {
	out := append(keep(p), "pyproject.toml")
	slices.Sort(out)
	return slices.Compact(out)
}

// forkDir unpacks the code of a fork, puts the protected files of the base
// branch in their place, and returns the project's folder in it.
func (h *House) forkDir(ctx context.Context, head, base string) (string, error) {
	from, err := h.checkout(ctx, base)
	if err != nil {
		return "", err
	}
	p, err := project.Load(from)
	if err != nil {
		return "", err
	}
	dir, err := h.unpack(ctx, head, "fork-"+head+"-"+base, func(top string) error {
		return overlay(from, filepath.Join(top, filepath.FromSlash(h.prefix(ctx))), protected(p))
	})
	return dir, err
}

// unpack writes the files of a commit below the cache, once, and returns the
// project's folder in it. finish is called with the root of a new checkout; one
// that was cut short by a crash is made anew.
func (h *House) unpack(ctx context.Context, commit, name string, finish func(top string) error) (string, error) {
	h.unpacking.Lock()
	defer h.unpacking.Unlock()
	r, err := h.repositoryOf(ctx, commit)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(h.cacheDir(), name)
	whole := dir + ".whole"
	_, err = os.Stat(whole)
	_, dirErr := os.Stat(dir)
	if err != nil || dirErr != nil {
		if err := r.RemoveCheckout(ctx, dir); err != nil {
			return "", err
		}
		if err := r.Checkout(ctx, commit, dir); err != nil {
			return "", err
		}
		if err := finish(dir); err != nil {
			return "", errors.Join(err, r.RemoveCheckout(ctx, dir))
		}
	}
	if err := os.WriteFile(whole, nil, 0o600); err != nil {
		return "", diskError(err)
	}
	return filepath.Join(dir, filepath.FromSlash(h.prefix(ctx))), nil
}

// removeCheckout removes what unpack made, of whichever repository it is.
func (h *House) removeCheckout(ctx context.Context, dir string) error {
	h.unpacking.Lock()
	defer h.unpacking.Unlock()
	errs := []error{os.RemoveAll(dir + ".whole")} // first: what is left of a checkout is none
	if here, ok := source.Here(h.Paths.Project); ok {
		errs = append(errs, here.RemoveCheckout(ctx, dir))
	}
	if _, err := os.Stat(h.mirrorDir()); err == nil && h.watching.Repository != "" {
		if r, err := h.repository(); err == nil {
			errs = append(errs, r.RemoveCheckout(ctx, dir))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

func copyFile(in, out *os.Root, name string) error {
	info, err := in.Lstat(name)
	if err != nil {
		return err
	}
	b, err := in.ReadFile(name)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info.Mode()&0o111 != 0 {
		mode = 0o700
	}
	return diskError(out.WriteFile(name, b, mode))
}

// overlay puts files of one tree in place of those of another; a file that the
// first one lacks is removed, so that a stranger adds none either.
func overlay(from, to string, files []string) error {
	in, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, name := range files {
		name = path.Clean(filepath.ToSlash(name))
		if !filepath.IsLocal(name) {
			return lastro.Errorf(lastro.EInvalid, "%q is no path of the project", name)
		}
		if err := out.RemoveAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return blocked(name, err)
		}
		if _, err := in.Stat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if dir := path.Dir(name); dir != "." {
			if err := out.MkdirAll(dir, 0o700); err != nil {
				return blocked(name, err)
			}
		}
		if err := copyFile(in, out, name); err != nil {
			return blocked(name, err)
		}
	}
	return nil
}

func blocked(name string, err error) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0249", Msg: fmt.Sprintf("the fork has something else where %s of the base branch belongs", name), Err: err}
}

// trustedOnly keeps the steps of untrusted runs from registering models: their
// code may track, but what the registry holds can be served.
func (h *House) trustedOnly(routes []auth.Route) []auth.Route {
	for i, r := range routes {
		if r.Permission != auth.WriteRegistry {
			continue
		}
		routes[i].Handler = func(w http.ResponseWriter, req *http.Request) {
			if err := h.mayRegister(req.Context(), auth.IdentityOf(req.Context())); err != nil {
				mlflow.Refuse(w, req, http.StatusForbidden, err)
				return
			}
			r.Handler(w, req)
		}
	}
	return routes
}

// mayRegister refuses a step whose run is untrusted.
func (h *House) mayRegister(ctx context.Context, id auth.Identity) error {
	if id.Run == "" {
		return nil
	}
	n, err := strconv.ParseInt(id.Run, 10, 64)
	if err != nil {
		return err
	}
	r, err := h.Runs.Run(ctx, n)
	if err == nil && r.Options.Untrusted {
		err = &lastro.Error{Code: lastro.EDenied, ID: "L0250", Msg: "the run of a pull request registers no model", Hint: "the run after the merge does"}
	}
	return err
}
