// SPDX-License-Identifier: Apache-2.0

// Package cli is the terminal's door: one file a command, results on standard
// output, progress on standard error, and the exit codes of docs/cli.md. What
// the commands do lives in package app.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"lastro"
)

// Version is the release; the linker may set another.
var Version = "0.1.0-dev"

// Globals are the flags that every command takes.
type Globals struct {
	Dir   string `short:"C" name:"dir" placeholder:"DIR" default:"." help:"Work as if started in DIR."`
	DB    string `name:"db" env:"LASTRO_DB" placeholder:"URL" help:"Keep the state in PostgreSQL: postgres://USER@HOST/DATABASE; default: a file in the state directory."`
	JSON  bool   `name:"json" help:"Print one JSON document on standard output."`
	Quiet bool   `short:"q" help:"No progress."`
	Plain bool   `help:"No colour, no redrawing: one line an event, with its time."`
}

// Env is what a command works with.
type Env struct {
	Globals
	Ctx    context.Context // ends at ctrl-C
	Stdout io.Writer
	Stderr io.Writer
	Term   Term // of standard error, where progress goes
	Out    Term // of standard output

	sig    *signals
	ageKey string // that opens secrets, of LASTRO_AGE_KEY; "" = none was given
}

// Main runs one command line and returns the exit code.
func Main(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	sig := &signals{}
	defer sig.listen(cancel)()
	return run(ctx, sig, args, os.Stdout, os.Stderr)
}

func run(ctx context.Context, sig *signals, args []string, stdout, stderr io.Writer) (code int) {
	var root commands
	exit := -1
	parser, err := kong.New(&root, kong.Name("lastro"), kong.Description(description),
		kong.Vars{"version": "lastro " + Version}, kong.Writers(stdout, stderr),
		kong.ExplicitGroups(groups), kong.Exit(func(c int) { exit = c; panic(exited{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 9
	}
	defer func() { // --help and --version end here, by kong's contract
		if r := recover(); r != nil {
			if _, ok := r.(exited); !ok {
				panic(r)
			}
			code = exit
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fail(&Env{Stderr: stderr, Term: newTerm(stderr, false)}, usageError(parser, args, err))
	}
	env := &Env{Globals: root.Globals, Ctx: ctx, Stdout: stdout, Stderr: stderr, sig: sig, ageKey: os.Getenv("LASTRO_AGE_KEY")}
	os.Unsetenv("LASTRO_AGE_KEY") // no tool that is started inherits it
	env.Term, env.Out = newTerm(stderr, root.Plain), newTerm(stdout, root.Plain)
	if env.Dir, err = filepath.Abs(root.Dir); err == nil {
		if info, statErr := os.Stat(env.Dir); statErr != nil || !info.IsDir() {
			err = &lastro.Error{Code: lastro.EInvalid, ID: "L0001", Msg: fmt.Sprintf("there is no folder %s", root.Dir), Hint: "-C takes the folder of a project"}
		}
	}
	if err == nil {
		err = parsed.Run(env)
	}
	return fail(env, err)
}

type exited struct{}

// usageError names the command that was perhaps meant.
func usageError(parser *kong.Kong, args []string, err error) error {
	e := &lastro.Error{Code: lastro.EInvalid, ID: "L0000", Msg: err.Error(), Hint: "lastro --help lists the commands"}
	var names []string
	for _, c := range parser.Model.Children {
		names = append(names, c.Name)
	}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			if near := lastro.Nearest(a, names); near != "" && near != a {
				e.Hint = "did you mean `lastro " + near + "`?"
			}
			break
		}
	}
	return e
}

// exitCode is the one place that maps a code to the process's status.
func exitCode(err error) int {
	if errors.Is(err, context.Canceled) {
		return 130
	}
	switch lastro.CodeOf(err) {
	case "":
		return 0
	case lastro.EFailed, lastro.EConflict:
		return 1
	case lastro.EInvalid, lastro.EUnsupported:
		return 2
	case lastro.EGate:
		return 3
	case lastro.EWaiting:
		return 4
	case lastro.EDenied:
		return 5
	case lastro.EServer:
		return 6
	case lastro.ENotFound:
		return 7
	case lastro.ETampered:
		return 8
	}
	return 9
}
