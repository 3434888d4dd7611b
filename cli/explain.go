// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"lastro"
	"lastro/project"
)

type explainCmd struct {
	Number string `arg:"" optional:"" name:"NUMBER" help:"Of a problem of lastro.yaml, such as L0104: what it means and how it is mended."`
}

func (*explainCmd) Help() string {
	return `Examples:
  lastro explain          when it runs, what happens, what must hold, where it goes, what is watched
  lastro explain L0104    what a problem of lastro.yaml means, and how it is mended
  lastro explain --json   the same for programs`
}

func (c *explainCmd) Run(env *Env) error {
	if c.Number != "" {
		return explainNumber(env, strings.ToUpper(c.Number))
	}
	p, err := project.Load(env.Dir)
	if err != nil {
		return err
	}
	sections := project.Explain(p)
	if env.JSON {
		return env.printJSON(map[string]any{"project": p.Name, "sections": sections})
	}
	env.say("%s", env.Out.style("bold", p.Name))
	if p.Description != "" {
		env.say("%s", p.Description)
	}
	number := 0
	for _, s := range sections {
		env.say("\n%s", env.Out.style("bold", s.Heading))
		width := 0
		for _, item := range s.Items {
			width = max(width, len([]rune(item.Name)))
		}
		for _, item := range s.Items {
			lead := "  "
			if item.Name != "" {
				number++
				lead = fmt.Sprintf("%3d  %-*s  ", number, width, item.Name)
			}
			env.say("%s%s", lead, item.Text)
			for _, more := range item.More {
				env.say("%s%s", strings.Repeat(" ", len([]rune(lead))), env.Out.style("muted", more))
			}
		}
		for _, n := range s.Notes {
			env.say("  %s", env.Out.style("muted", n))
		}
	}
	return nil
}

// explainNumber prints the long text of a problem.
func explainNumber(env *Env, id string) error {
	text, ok := project.IDs[id]
	if !ok {
		return &lastro.Error{Code: lastro.ENotFound, ID: "L0015", Msg: fmt.Sprintf("nothing more is written about %q", id),
			Hint: "numbers of lastro.yaml's problems have one, such as L0104; other errors say at once what to do next"}
	}
	if env.JSON {
		return env.printJSON(map[string]string{"id": id, "text": text})
	}
	env.say("%s  %s", env.Out.style("bold", id), text)
	return nil
}
