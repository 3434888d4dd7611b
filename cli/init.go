// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lastro"
	"lastro/examples"
	"lastro/project"
)

type initCmd struct {
	Template string `short:"t" default:"minimal" placeholder:"NAME" help:"minimal, flights or income."`
	List     bool   `help:"List the templates."`
	Folder   string `arg:"" optional:"" name:"DIR" help:"Where to put it; made when it is not there. Default: here."`
}

func (*initCmd) Help() string {
	return `Examples:
  lastro init                              the smallest project, here
  lastro init --template flights flights   the demo's main project, in ./flights
  lastro init --list                       what there is

Nothing that exists is overwritten.`
}

func (c *initCmd) Run(env *Env) error {
	if c.List {
		return c.list(env)
	}
	files, ok := examples.Files(c.Template)
	if !ok {
		var names []string
		for _, t := range examples.Templates {
			names = append(names, t.Name)
		}
		e := &lastro.Error{Code: lastro.EInvalid, ID: "L0002", Msg: fmt.Sprintf("there is no template %q", c.Template), Hint: "lastro init --list"}
		if near := lastro.Nearest(c.Template, names); near != "" {
			e.Hint = "did you mean `--template " + near + "`?"
		}
		return e
	}
	dir := filepath.Join(env.Dir, c.Folder)
	if c.Folder != "" && filepath.IsAbs(c.Folder) {
		dir = c.Folder
	}
	written, err := writeTemplate(files, dir)
	if err != nil {
		return err
	}
	git := startRepository(dir)
	if env.JSON {
		return env.printJSON(map[string]any{"dir": dir, "template": c.Template, "files": written})
	}
	env.say("Wrote %s to %s", count(len(written), "file"), dir)
	for _, name := range topLevel(written) {
		env.say("  %s", name)
	}
	if git != "" {
		env.say("%s", git)
	}
	env.say("\nNext")
	if c.Folder != "" {
		env.say("  cd %s", c.Folder)
	}
	env.say("  lastro explain   what it does, in plain words")
	env.say("  lastro run       run it here: no server, no Docker")
	return nil
}

func (c *initCmd) list(env *Env) error {
	if env.JSON {
		return env.printJSON(examples.Templates)
	}
	var rows [][]string
	for _, t := range examples.Templates {
		rows = append(rows, []string{t.Name, t.Doc})
	}
	for _, line := range table(rows) {
		env.say("%s", line)
	}
	return nil
}

// writeTemplate copies files to dir and returns their names; it refuses to
// overwrite and then writes nothing.
func writeTemplate(files fs.FS, dir string) ([]string, error) {
	var names, taken []string
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		names = append(names, name)
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			taken = append(taken, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(taken) > 0 {
		what := strings.Join(taken[:min(3, len(taken))], ", ")
		if len(taken) > 3 {
			what += fmt.Sprintf(" and %d more", len(taken)-3)
		}
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0003", Msg: fmt.Sprintf("%s would be overwritten in %s", what, dir),
			Hint: "name an empty folder: lastro init --template NAME DIR"}
	}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, cannotWrite(path, err)
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			return nil, cannotWrite(path, err)
		}
	}
	return names, nil
}

func cannotWrite(path string, err error) error {
	return &lastro.Error{Code: lastro.EErrored, ID: "L0004", Msg: "cannot write " + path, Hint: "check the folder's owner, mode and free space", Err: errors.Unwrap(err)}
}

// startRepository makes dir a git repository unless it is in one; it returns a
// line for the user.
func startRepository(dir string) string {
	if exec.Command("git", "-C", dir, "rev-parse", "--git-dir").Run() == nil {
		return ""
	}
	if exec.Command("git", "-C", dir, "init", "-q").Run() != nil {
		return "  without git: runs will name the code by its content, not by a commit"
	}
	return "  .git (a new repository; commit when you like)"
}

func topLevel(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		first, _, deep := strings.Cut(n, "/")
		if deep {
			first += "/"
		}
		if !seen[first] {
			seen[first] = true
			note := ""
			if first == project.FileName {
				note = "   the whole pipeline; start reading here"
			}
			out = append(out, first+note)
		}
	}
	return out
}
