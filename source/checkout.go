// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lastro"
)

// Checkout writes the files of a commit to dest, which must not exist, as a
// detached git worktree, so that git still answers there. Submodules are left
// out. Remove it with RemoveCheckout. In a folder without git it is EInvalid, a
// commit that is not there is ENotFound.
func Checkout(ctx context.Context, root, commit, dest string) error {
	if _, ok := repository(root); !ok && !bare(root) {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0154", Msg: "an older commit cannot be checked out: this folder is not in git", Hint: "git init && git add . && git commit"}
	}
	if len(commit) < 7 || strings.Trim(commit, "0123456789abcdef") != "" {
		return lastro.Errorf(lastro.EInvalid, "%q is not a commit", commit)
	}
	if _, err := git(ctx, root, "cat-file", "-e", commit+"^{commit}"); err != nil {
		return &lastro.Error{Code: lastro.ENotFound, ID: "L0155", Msg: fmt.Sprintf("commit %s is not in this repository", commit[:7]), Hint: "git fetch brings commits that others pushed"}
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
		return err
	}
	// A worktree whose folder is gone (killed, cleaned up) would keep its name.
	if _, err := git(ctx, root, "worktree", "prune"); err != nil {
		return err
	}
	// Hooks of the repository must not run: they are code that nobody asked for.
	_, err := git(ctx, root, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", dest, commit)
	return err
}

// bare reports whether a folder is a repository without a working tree.
func bare(dir string) bool {
	head, err := os.Stat(filepath.Join(dir, "HEAD"))
	objects, oerr := os.Stat(filepath.Join(dir, "objects"))
	return err == nil && oerr == nil && head.Mode().IsRegular() && objects.IsDir()
}

// ProjectDir returns where a project of the repository lies in a checkout of
// it: the same path below its root as root has.
func ProjectDir(ctx context.Context, root, checkout string) (string, error) {
	out, err := git(ctx, root, "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	return filepath.Join(checkout, filepath.FromSlash(strings.TrimSpace(string(out)))), nil
}

// RemoveCheckout removes what Checkout made. Removing it twice is no error.
func RemoveCheckout(ctx context.Context, root, dest string) error {
	if _, err := os.Stat(dest); err == nil {
		if _, err := git(ctx, root, "worktree", "remove", "--force", dest); err != nil {
			if rerr := os.RemoveAll(dest); rerr != nil {
				return rerr
			}
		}
	}
	_, err := git(ctx, root, "worktree", "prune")
	return err
}
