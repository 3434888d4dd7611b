// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"lastro"
	"lastro/app"
	"lastro/secret"
)

type secretCmd struct {
	Set secretSetCmd `cmd:"" help:"Set a secret, from standard input or by typing it unseen."`
	Ls  secretLsCmd  `cmd:"" help:"List the names of secrets."`
	Rm  secretRmCmd  `cmd:"" help:"Remove a secret."`
}

type secretSetCmd struct {
	Name string `arg:"" name:"NAME"`
}

func (*secretSetCmd) Help() string {
	return `A step that lists NAME under secrets: finds the value in its environment. It is encrypted in the state directory, and hidden
in logs and reports. It is never an argument, which other people on this machine could read.

Examples:
  lastro secret set WAREHOUSE_URL                 asks for the value and does not show it
  lastro secret set WAREHOUSE_URL < url.txt       one line end at the end of the file is left out
  pass show warehouse | lastro secret set WAREHOUSE_URL`
}

func (c *secretSetCmd) Run(env *Env) error {
	if err := secret.CheckName(c.Name); err != nil { // before a person types a value
		return err
	}
	value, err := readSecret(env, c.Name)
	if err != nil {
		return err
	}
	key := env.paths().SecretKey()
	_, before := os.Stat(key)
	return env.vault(func(v app.Vault) error {
		s, err := v.SetSecret(env.Ctx, c.Name, value)
		if err != nil {
			return err
		}
		if _, now := os.Stat(key); before != nil && now == nil {
			env.note("made the key that opens secrets: %s; keep a copy of it in another place", key)
		}
		if env.JSON {
			return env.printJSON(s)
		}
		env.say("%s %s is set (version %d)", env.Out.style("succeeded", "✓"), s.Name, s.Version)
		if s.Version == 1 && !strings.HasPrefix(s.Name, "WEBHOOK_") { // those are the server's, not a step's
			env.say("\nNext\n  in lastro.yaml, at the top and at the steps that need it:  secrets: [%s]", s.Name)
		}
		return nil
	})
}

// readSecret reads a value from standard input; a person at a terminal types
// it unseen.
func readSecret(env *Env, name string) (string, error) {
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprintf(env.Stderr, "value of %s (not shown): ", name)
		raw, err := term.ReadPassword(fd)
		fmt.Fprintln(env.Stderr)
		return string(raw), err
	}
	raw, err := io.ReadAll(io.LimitReader(os.Stdin, secret.MaxBytes+3)) // enough to see that it is too long
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), err
}

type secretLsCmd struct{}

func (*secretLsCmd) Run(env *Env) error {
	show := func(all []secret.Secret, err error) error {
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{"secrets": append([]secret.Secret{}, all...)})
		}
		if len(all) == 0 {
			env.say("no secret is set; lastro secret set NAME sets one")
		}
		var rows [][]string
		for _, s := range all {
			rows = append(rows, []string{s.Name, fmt.Sprintf("version %d", s.Version), ago(s.SetAt), "by " + string(s.SetBy)})
		}
		for _, line := range table(rows) {
			env.say("%s", line)
		}
		return nil
	}
	if server, ok := app.Connect(env.paths()); ok {
		return show(server.Secrets(env.Ctx))
	}
	return env.reading(func(h *app.House) error { return show(h.Secrets.List(env.Ctx)) })
}

type secretRmCmd struct {
	Name string `arg:"" name:"NAME"`
}

func (c *secretRmCmd) Run(env *Env) error {
	return env.vault(func(v app.Vault) error {
		if err := v.RemoveSecret(env.Ctx, c.Name); err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{"removed": c.Name})
		}
		env.say("%s %s is removed; steps that name it no longer start", env.Out.style("succeeded", "✓"), c.Name)
		return nil
	})
}

// vault reaches secrets through the living server, or in the state directory
// when none is running.
func (e *Env) vault(f func(app.Vault) error) error {
	if server, ok := app.Connect(e.paths()); ok {
		return f(server)
	}
	return e.writing("secret", nil, func(h *app.House) error { return f(h.Vault(lastro.Actor("user:local"))) })
}
