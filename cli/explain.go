// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"regexp"
	"strings"

	"lastro"
	"lastro/project"
)

type explainCmd struct {
	What     string `arg:"" optional:"" name:"STEP|NUMBER" help:"A step of lastro.yaml, or the number of an error such as L0302: what it means and how it is mended."`
	Expanded bool   `help:"Print lastro.yaml with every default that it implies written out."`
}

func (*explainCmd) Help() string {
	return `Examples:
  lastro explain              when it runs, what happens, what must hold, where it goes, what is watched
  lastro explain train        one step: what it waits for, reads and writes, and when it runs again
  lastro explain L0302        what an error means, and how it is mended
  lastro explain --expanded   lastro.yaml with every default written out
  lastro explain --json       the same for programs`
}

var errorNumber = regexp.MustCompile(`^[lL]\d{4}$`)

func (c *explainCmd) Run(env *Env) error {
	if errorNumber.MatchString(c.What) && !c.Expanded {
		return explainNumber(env, strings.ToUpper(c.What))
	}
	p, err := project.Load(env.Dir)
	if err != nil {
		return err
	}
	switch {
	case c.Expanded && c.What != "":
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0001", Msg: "--expanded prints the whole file, not " + c.What, Hint: "lastro explain --expanded, or lastro explain " + c.What}
	case c.Expanded && env.JSON:
		return env.printJSON(map[string]string{"project": p.Name, "file": string(project.Expanded(p))})
	case c.Expanded:
		env.say("%s", strings.TrimSuffix(string(project.Expanded(p)), "\n"))
		return nil
	case c.What != "":
		return explainStep(env, p, c.What)
	}
	sections := project.Explain(p)
	if env.JSON {
		return env.printJSON(map[string]any{"project": p.Name, "sections": sections})
	}
	env.say("%s", env.Out.style("bold", p.Name))
	if p.Description != "" {
		env.say("%s", p.Description)
	}
	printSections(env, sections)
	return nil
}

func explainStep(env *Env, p *project.Project, name string) error {
	sections, err := project.ExplainStep(p, name)
	if err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]any{"project": p.Name, "step": name, "sections": sections})
	}
	env.say("%s", env.Out.style("bold", name))
	printSections(env, sections)
	return nil
}

// printSections prints sections; items with a name are numbered through all.
func printSections(env *Env, sections []project.Section) {
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
}

// explainNumber prints the long text of an error.
func explainNumber(env *Env, id string) error {
	text, ok := project.IDs[id]
	if !ok {
		return &lastro.Error{Code: lastro.ENotFound, ID: "L0015", Msg: fmt.Sprintf("nothing more is written about %q", id),
			Hint: "docs/reference/errors.md lists those that have a text; the others say at once what to do next"}
	}
	if env.JSON {
		return env.printJSON(map[string]string{"id": id, "text": text})
	}
	env.say("%s  %s", env.Out.style("bold", id), text)
	return nil
}
