// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"lastro"
	"lastro/app"
)

type shellCmd struct {
	RunNo   string   `arg:"" name:"RUN" help:"Number of the run."`
	Step    string   `arg:"" optional:"" name:"STEP" help:"Step, or cell: train[2]."`
	Program []string `arg:"" optional:"" passthrough:"" name:"COMMAND" help:"Run this instead of a shell, after --."`
	Keep    bool     `help:"Do not remove the folder at the end."`
	Secrets bool     `help:"Also set the step's secrets: whoever sees this terminal can read them."`
}

func (*shellCmd) Help() string {
	return `Makes the workspace of a step anew in a fresh folder, as it was before its command: the code, the inputs and the environment of
then, whatever the files of the project are now. Works for steps that failed, succeeded or came from the cache. What you do there
changes nothing that is recorded.

Examples:
  lastro shell 143 train              look inside; exit ends it and removes the folder
  lastro shell 143 'train[2]' --keep
  lastro shell 143 train -- ls -l     one command instead of a shell

Exit: 0, or 1 when COMMAND failed`
}

func (c *shellCmd) Run(env *Env) error {
	number, err := parseRun(c.RunNo)
	if err != nil {
		return err
	}
	if c.Step == "" || c.Step == "--" {
		return c.whichStep(env, number)
	}
	step, cell, err := parseCell(c.Step)
	if err != nil {
		return err
	}
	return env.reading(func(h *app.House) error {
		s, err := h.OpenShell(env.Ctx, number, step, cell, c.Secrets, func(line string) { env.note("  %s", line) })
		if err != nil {
			return err
		}
		if !c.Keep {
			defer s.Close()
		}
		c.introduce(env, s)
		return c.start(env, s)
	})
}

// whichStep names the steps that there is something to see of.
func (c *shellCmd) whichStep(env *Env, number int64) error {
	return env.reading(func(h *app.House) error {
		if _, err := h.Runs.Run(env.Ctx, number); err != nil {
			return err
		}
		steps, err := h.Runs.StepRuns(env.Ctx, number)
		if err != nil {
			return err
		}
		e := &lastro.Error{Code: lastro.EInvalid, ID: "L0680", Msg: fmt.Sprintf("a shell is opened in one step of run #%d", number)}
		var names []string
		for _, s := range lastAttempts(steps) {
			if name := cellTitle(s); !slices.Contains(names, name) {
				names = append(names, name)
			}
			if e.Hint == "" && s.Error != nil {
				e.Hint = fmt.Sprintf("lastro shell %d '%s'", number, cellTitle(s))
			}
		}
		if len(names) > 10 {
			names = append(names[:10], fmt.Sprintf("and %d more", len(names)-10))
		}
		if e.Notes = []string{"its steps: " + strings.Join(names, ", ")}; e.Hint == "" && len(names) > 0 {
			e.Hint = fmt.Sprintf("lastro shell %d '%s'", number, names[0])
		}
		return e
	})
}

// introduce says what is there, and what is not as it was.
func (c *shellCmd) introduce(env *Env, s *app.Shell) {
	env.note("%s", env.Term.style("bold", fmt.Sprintf("#%d %s, attempt %d, before its command", s.Row.Run, cellTitle(s.Row), s.Row.Attempt)))
	if s.Command != "" {
		env.note("  its command   %s", strings.ReplaceAll(strings.TrimRight(s.Command, "\n"), "\n", "\n                "))
	} else {
		env.note("  its command   none: %s is built in", s.Kind)
	}
	differs := "no limits, no sandbox, no tracking"
	if s.Isolated != "" {
		differs += " (the step had: " + s.Isolated + ")"
	}
	env.note("  not the same  %s", differs)
	if len(s.Without) > 0 {
		env.note("  secrets       %s are not set; --secrets sets them", strings.Join(s.Without, ", "))
	}
	if len(s.Secrets) > 0 {
		env.note("  %s", env.Term.style("warning", "! secrets     "+strings.Join(s.Secrets, ", ")+" are set here in plain text: what you print or save is not masked"))
	}
	end := "removed at the end"
	if c.Keep {
		end = "kept"
	}
	env.note("  folder        %s   (%s)\n", s.Dir, end)
}

func (c *shellCmd) start(env *Env, s *app.Shell) error {
	argv := c.Program
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	interactive := len(argv) == 0
	if interactive {
		argv = []string{shellOf(os.Getenv("SHELL"))}
	}
	cmd := exec.CommandContext(env.Ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.Dir, append(slices.Clone(s.Env), terminal()...)
	if interactive {
		cmd.Env = append(cmd.Env, fmt.Sprintf("PS1=(#%d %s) \\W $ ", s.Row.Run, cellTitle(s.Row)))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, env.Stdout, env.Stderr
	env.sig.ignore(true) // ctrl-C is for what runs in the shell
	err := cmd.Run()
	env.sig.ignore(false)
	var exit *exec.ExitError
	switch {
	case err == nil, interactive && errors.As(err, &exit):
		return nil // a person's last command says nothing
	case errors.As(err, &exit):
		return &lastro.Error{Code: lastro.EFailed, ID: "L0676", Msg: fmt.Sprintf("%s: %s", argv[0], exit.ProcessState)}
	}
	return &lastro.Error{Code: lastro.EErrored, ID: "L0677", Msg: fmt.Sprintf("%s could not be started", argv[0]), Hint: "name another program after --, or set SHELL", Err: err}
}

// shellOf is the person's shell, or bash when it is none that can be started.
func shellOf(wanted string) string {
	if wanted != "" {
		if path, err := exec.LookPath(wanted); err == nil {
			return path
		}
	}
	return "bash"
}

// terminal are the variables that say what the terminal can do; a step has none.
func terminal() []string {
	var out []string
	for _, name := range []string{"TERM", "COLORTERM", "LINES", "COLUMNS"} {
		if v := os.Getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}
