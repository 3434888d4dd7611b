// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"log/slog"
	"os"
	"path/filepath"

	"lastro"
	"lastro/app"
	"lastro/project"
)

func (e *Env) paths() app.Paths { return app.PathsOf(e.Dir, os.Getenv("LASTRO_DATA")) }

// project loads ./lastro.yaml; a missing one names the way to get one.
func (e *Env) project() (*project.Project, error) {
	if _, err := os.Stat(filepath.Join(e.Dir, project.FileName)); os.IsNotExist(err) {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0008", Msg: "there is no lastro.yaml in " + e.Dir,
			Hint: "lastro init starts a project here; -C DIR works in another folder"}
	}
	return project.Load(e.Dir)
}

// log is the operator's log on standard error, or silence.
func (e *Env) log(level slog.Level) *slog.Logger {
	if os.Getenv("LASTRO_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level}))
}

// writing opens the state for a command that changes it.
func (e *Env) writing(command string, p *project.Project, f func(*app.House) error) error {
	return e.with(app.OpenOptions{Project: p, Paths: e.paths(), Command: command, Log: e.log(slog.LevelError)}, f)
}

// reading opens the state beside whoever holds it. A lastro.yaml that does
// not load is no obstacle to looking at what was done.
func (e *Env) reading(f func(*app.House) error) error {
	p, err := project.Load(e.Dir)
	if err != nil {
		p = nil
	}
	return e.with(app.OpenOptions{Project: p, Paths: e.paths(), ReadOnly: true, Log: e.log(slog.LevelError)}, f)
}

func (e *Env) with(o app.OpenOptions, f func(*app.House) error) (err error) {
	o.DB, o.AgeKey = e.DB, e.ageKey
	h, err := app.Open(e.Ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := h.Close(); err == nil {
			err = closeErr
		}
	}()
	return f(h)
}

// server connects to the living server, or says how to start one (exit 6).
func (e *Env) server(what string) (*app.Client, error) {
	if c, ok := app.Connect(e.paths()); ok {
		return c, nil
	}
	command := "lastro up"
	if e.Globals.Dir != "" {
		command = "lastro -C " + e.Dir + " up"
	}
	return nil, &lastro.Error{Code: lastro.EServer, ID: "L0407", Msg: what + " needs the server, and none is running for this project", Hint: command}
}
