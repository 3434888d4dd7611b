// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// compileUV pins the requirements by uv. An older lock is uv's preference, so
// that only what has to change changes.
func (r *Resolver) compileUV(ctx context.Context, w Wanted, py *interpreter, uv, tmp string, held *os.File) (string, error) {
	r.say(fmt.Sprintf("pinning %s with uv for Python %s", filepath.Base(w.Requirements), py.version))
	out := filepath.Join(tmp, "lock.txt")
	old, err := os.ReadFile(w.Lock)
	if err == nil {
		err = os.WriteFile(out, old, 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	args := []string{"pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--python", py.path, "--output-file", out}
	c := r.command(ctx, filepath.Dir(w.Requirements), uv, append(append(args, r.uvFlags()...), "--", filepath.Base(w.Requirements))...).holding(held)
	if err := c.run(); err != nil {
		return "", toolError(ctx, c, err, "uv could not pin the requirements", w.Requirements)
	}
	text, err := os.ReadFile(out)
	return string(text), err
}

// installUV builds an environment by uv. Files are copied out of uv's cache:
// with its default, hard links, a step that writes into its environment would
// spoil those of all projects.
func (r *Resolver) installUV(ctx context.Context, e *Env, lock *lockText, py *interpreter, uv string, held *os.File) error {
	r.say(fmt.Sprintf("building a Python %s environment with uv (%d packages)", py.version, len(lock.pins)))
	c := r.command(ctx, "/", uv, "venv", "--quiet", "--python", py.path, e.Dir).holding(held)
	if err := c.run(); err != nil {
		return toolError(ctx, c, err, "uv could not make a virtual environment", "")
	}
	if len(lock.pins) == 0 {
		return nil
	}
	file, err := lock.save(e)
	if err != nil {
		return err
	}
	args := []string{"pip", "install", "--python", e.Python, "--no-deps", "--compile-bytecode", "--link-mode", "copy"}
	if lock.hashed {
		args = append(args, "--require-hashes")
	}
	c = r.command(ctx, "/", uv, append(append(args, r.uvFlags()...), "-r", file)...).holding(held)
	if err := c.run(); err != nil {
		return toolError(ctx, c, err, "uv could not install what lastro.lock pins", file)
	}
	return nil
}

// uvFlags are settings of pip that uv reads from no variable in every version.
func (r *Resolver) uvFlags() []string {
	if v := r.getenv("PIP_NO_INDEX"); v != "" && v != "0" && v != "false" {
		return []string{"--no-index"}
	}
	return nil
}

// save keeps the lock beside the packages that were installed from it.
func (l *lockText) save(e *Env) (string, error) {
	file := filepath.Join(e.Dir, "lastro.lock")
	return file, os.WriteFile(file, l.text, 0o644)
}
