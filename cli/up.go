// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lastro"
	"lastro/app"
	"lastro/project"
)

type upCmd struct {
	Listen     string        `default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Address of pages, API and MLflow API."`
	Endpoints  string        `placeholder:"HOST:PORT" help:"Address where models answer; default: 127.0.0.1:7071."`
	Data       string        `placeholder:"DIR" help:"State directory; default: $LASTRO_DATA, then PROJECT/.lastro."`
	Auth       string        `enum:"tokens,none" default:"tokens" help:"tokens, or none (everybody is the local user; loopback only)."`
	Host       []string      `placeholder:"NAME" help:"Name under which others call the server, such as that of a proxy; localhost always counts."`
	Repository string        `placeholder:"URL" help:"Repository whose pushes start runs (on: in lastro.yaml); default: the one that holds the project."`
	Poll       time.Duration `placeholder:"DURATION" help:"How often the repository is looked at; default: 2s on this machine, 1m elsewhere."`
	Outbound   []string      `name:"outbound-allow" placeholder:"NETWORK" help:"Network that webhooks may call although it is not public, such as 10.1.0.0/16."`
	GC         string        `name:"gc" enum:"daily,never" default:"daily" help:"Remove what nobody needs as lastro gc does, once a day (${default}), or never."`
	SecretKey  string        `placeholder:"FILE" env:"LASTRO_AGE_KEY_FILE" help:"age key that opens secrets; default: secrets.key in the state directory."`
}

func (*upCmd) Help() string {
	return `Examples:
  lastro up                                 this project's server; prints a one-time link for the browser
  lastro up --listen 127.0.0.1:8080         on another port
  lastro up --listen 127.0.0.1:7080 --endpoints 127.0.0.1:7081    a second project on one machine
  lastro up --repository git@host:team/project.git    pushes there start runs, as on: in lastro.yaml says
  lastro up --data /srv/lastro              a tracking server and registry without a project
  LASTRO_DB=postgres://lastro@db/lastro lastro up    the state in PostgreSQL (docs/reference/database.md)

MLflow clients: MLFLOW_TRACKING_URI=http://127.0.0.1:7070 and MLFLOW_TRACKING_TOKEN (lastro token create).
Endpoints keep answering when the server stops. SIGTERM starts nothing new, waits for the steps that run, and then stops;
a second SIGTERM, or ctrl-C, stops at once: steps go on, and the next server takes them over.`
}

func (c *upCmd) Run(env *Env) error {
	watch, err := watching(c.Repository, c.Poll)
	if err != nil {
		return err
	}
	paths := env.paths()
	if c.Data != "" {
		dir, err := filepath.Abs(c.Data)
		if err != nil {
			return err
		}
		paths.State = dir
	}
	var p *project.Project
	if _, err := os.Stat(filepath.Join(env.Dir, project.FileName)); err == nil {
		if p, err = project.Load(env.Dir); err != nil {
			return err
		}
	} else if c.Data == "" && os.Getenv("LASTRO_DATA") == "" {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0008", Msg: "there is no lastro.yaml in " + env.Dir,
			Hint: "start it in a project, or name a state directory: lastro up --data DIR"}
	} else {
		paths.Project = ""
	}
	app.Version = Version
	return env.with(app.OpenOptions{Project: p, Paths: paths, Command: "up", Endpoints: c.Endpoints, SecretKey: c.SecretKey, OutboundAllow: c.Outbound, Log: env.log(slog.LevelInfo)}, func(h *app.House) error {
		return h.Up(drained(env, h), app.UpOptions{Listen: c.Listen, AuthNone: c.Auth == "none", Watching: watch, Hosts: c.Host, KeepAll: c.GC == "never", Ready: func(a app.Address) { c.ready(env, a) }})
	})
}

func (c *upCmd) ready(env *Env, a app.Address) {
	if env.JSON {
		_ = env.printJSON(map[string]any{"url": a.URL, "login": a.Login, "pid": a.PID})
		return
	}
	env.say("lastro %s is up at %s", Version, a.URL)
	if a.Login != "" {
		env.say("  open in a browser (once):  %s", a.Login)
	}
	env.say("  MLflow clients:            MLFLOW_TRACKING_URI=%s", a.URL)
	env.say("  stop:                      ctrl-C (endpoints go on answering; lastro serve --stop ends them)")
}
