// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"lastro/app"
)

type whyCmd struct {
	Ref string `arg:"" name:"WHAT" help:"MODEL@3, MODEL@champion, MODEL (what serves), a step of the newest run, or of another: 142/train."`
}

func (*whyCmd) Help() string {
	return `Examples:
  lastro why flight-delay        why this version serves
  lastro why flight-delay@3      why version 3 serves, or why not
  lastro why train               why the step ran again, or came from the cache: which ingredients changed
  lastro why '142/train[2]'      the second cell of the step in run #142`
}

func (c *whyCmd) Run(env *Env) error {
	return env.reading(func(h *app.House) error {
		w, err := h.Why(env.Ctx, c.Ref)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(w)
		}
		env.say("%s", env.Out.style("bold", w.Verdict))
		for _, l := range w.Lines {
			mark := " "
			if l.Kind == "same" {
				mark = env.Out.style("muted", "=")
			} else if l.OK != nil && *l.OK {
				mark = env.Out.style("succeeded", "✓")
			} else if l.OK != nil {
				mark = env.Out.style("failed", "✗")
			}
			env.say("  %s %s", mark, l.Text)
		}
		if len(w.Next) > 0 {
			env.say("\nNext")
			for _, n := range w.Next {
				env.say("  %s", n)
			}
		}
		return nil
	})
}
