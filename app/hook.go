// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lastro"
)

// hookMark tells our hook from another one.
const hookMark = "# written by lastro trigger install-hook"

// InstallHook writes a post-receive hook into a repository, which tells the
// server of this project's state directory of each push, and returns its path.
// A hook that somebody else wrote stays: L0251.
func InstallHook(ctx context.Context, p Paths, repository string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "--git-path", "hooks")
	cmd.Dir = repository
	out, err := cmd.Output()
	if err != nil {
		return "", &lastro.Error{Code: lastro.EInvalid, ID: "L0252", Msg: fmt.Sprintf("%s is not a git repository", repository), Hint: "name the repository that people push to: lastro trigger install-hook /srv/git/project.git"}
	}
	dir := strings.TrimSuffix(string(out), "\n")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(repository, dir)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "post-receive")
	script := "#!/bin/sh\n" + hookMark + "\n"
	if p.State != filepath.Join(p.Project, ".lastro") {
		script += "LASTRO_DATA=" + shellQuoted(p.State) + " "
	}
	command := "exec " + shellQuoted(self) + " -C " + shellQuoted(p.Project) + " trigger pushed\n"
	if strings.HasSuffix(script, " ") { // exec takes no assignments
		command = strings.TrimPrefix(command, "exec ")
	}
	script += command
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", diskError(err)
	}
	if err == nil && !strings.Contains(string(old), hookMark) {
		return "", &lastro.Error{Code: lastro.EConflict, ID: "L0251", Msg: file + " is there already, and lastro did not write it",
			Hint: "add to it, where it has not read its standard input yet:\n" + strings.TrimPrefix(command, "exec ")}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", diskError(err)
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, []byte(script), 0o755); err != nil {
		return "", diskError(err)
	}
	return file, diskError(os.Rename(tmp, file))
}

// shellQuoted is a word that a shell takes as it is.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
