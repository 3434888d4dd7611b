// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"log/slog"
	"os"

	"lastro/app"
)

type serveCmd struct {
	Listen string `default:"127.0.0.1:7071" placeholder:"HOST:PORT" help:"Address of the inference endpoints."`
	State  string `placeholder:"DIR" help:"State directory; default: PROJECT/.lastro."`
	Stop   bool   `help:"End the data plane that answers now; requests under way are answered first."`
}

func (*serveCmd) Help() string {
	return `The data plane: it answers Open Inference Protocol v2 and MLflow /invocations from the routing that it finds in the
state directory, and goes on while the server is away. "lastro up" starts it by itself.

Examples:
  lastro serve                         answer for this project in the foreground
  lastro serve --listen 0.0.0.0:7071   also for other machines
  lastro serve --stop                  end the one that "lastro up" started`
}

func (c *serveCmd) Run(env *Env) error {
	paths := env.paths()
	if c.State != "" {
		paths.State = c.State
	}
	if c.Stop {
		if err := app.StopServing(env.Ctx, paths); err != nil {
			return err
		}
		env.say("%s no endpoint of this project answers any more", env.Out.style("succeeded", "✓"))
		return nil
	}
	return app.Serve(env.Ctx, paths, c.Listen, env.log(slog.LevelInfo))
}

type supervisorCmd struct {
	Control string `required:"" placeholder:"DIR"`
}

func (c *supervisorCmd) Run(env *Env) error { return app.Supervise(env.Ctx, c.Control) }

type besideCmd struct {
	Folder string `arg:"" name:"DIR"`
}

// Run ends as the step's own command did.
func (c *besideCmd) Run(env *Env) error {
	os.Exit(app.Beside(c.Folder, env.Stdout))
	return nil
}

type dataWorkerCmd struct{}

func (*dataWorkerCmd) Run(env *Env) error { return app.WorkData(env.Ctx, os.Stdin, os.Stdout) }

type onnxWorkerCmd struct {
	Model   string `arg:"" name:"DIR"`
	Library string `arg:"" name:"LIBRARY"`
}

func (c *onnxWorkerCmd) Run(*Env) error {
	return app.WorkONNX(os.Stdin, os.Stdout, c.Model, c.Library)
}
