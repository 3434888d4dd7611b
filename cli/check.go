// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"

	"lastro"
	"lastro/app"
	"lastro/project"
)

type checkCmd struct {
	Schema bool `help:"Print the JSON Schema of lastro.yaml instead (for editors)."`
}

func (*checkCmd) Help() string {
	return `Examples:
  lastro check                               every problem of ./lastro.yaml, exit 2 if there is one
  lastro check --schema > lastro.schema.json completion in editors that read JSON Schema`
}

func (c *checkCmd) Run(env *Env) error {
	if c.Schema {
		_, err := env.Stdout.Write(project.Schema())
		return err
	}
	p, err := project.Load(env.Dir)
	if err == nil {
		err = app.CheckSettings(env.Ctx, p)
	}
	if err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]any{"valid": true, "project": p.Name, "steps": len(p.Pipeline.Steps), "datasets": len(p.Datasets)})
	}
	env.say("%s lastro.yaml is valid: %s, %s, %s", env.Out.style("succeeded", "✓"), p.Name,
		count(len(p.Pipeline.Steps), "step"), count(len(p.Datasets), "dataset"))
	return nil
}

// renderProblems shows the problems of a file with excerpt and caret.
func renderProblems(env *Env, problems lastro.Problems) {
	if err := project.Render(env.Stderr, problems, os.DirFS(env.Dir), env.Term.Color); err != nil {
		env.note("%v", err)
	}
	if len(problems) > 1 {
		env.note("\n%s", count(len(problems), "error"))
	}
}
