// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"lastro"
	"lastro/app"
	"lastro/gate"
)

type approveCmd struct {
	ID     string   `arg:"" optional:"" name:"DECISION" help:"Which decision, such as d-0032; default: list those that wait."`
	Bundle string   `placeholder:"DIGEST" help:"Digest of the decision as you saw it; what you sign."`
	Waive  []string `placeholder:"RULE" help:"Rule to waive; default: every rule that waits."`
	Until  string   `placeholder:"DATE" help:"Last day of the waiver, such as 2026-12-31."`
	Reason string   `help:"Why; it is kept with your name."`
}

func (*approveCmd) Help() string {
	return `Examples:
  lastro approve                     what waits for a person
  lastro approve d-0032              the decision with the values it saw, and its digest
  lastro approve d-0032 --bundle sha256:88f0... --waive equal-opportunity --until 2026-12-31 --reason "..."

Say who you are with LASTRO_TOKEN (lastro token create --user NAME). A decision that has changed since you saw it is refused.`
}

// decisionDoc is a decision with its waivers.
type decisionDoc struct {
	Decision gate.Decision `json:"decision"`
	Waivers  []gate.Waiver `json:"waivers"`
}

func (c *approveCmd) Run(env *Env) error {
	if c.ID == "" {
		return c.list(env)
	}
	if c.Reason == "" && c.Until == "" && c.Bundle == "" {
		return c.show(env)
	}
	until, err := time.Parse("2006-01-02", c.Until)
	if err != nil || c.Reason == "" || c.Bundle == "" {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0014", Msg: "a waiver needs --bundle, --until (a date such as 2026-12-31) and --reason",
			Hint: "lastro approve " + c.ID + " shows the decision and its digest"}
	}
	digest, err := lastro.ParseDigest(c.Bundle)
	if err != nil {
		return err
	}
	server, err := env.server("approve")
	if err != nil {
		return err
	}
	var doc decisionDoc
	if err := server.Get(env.Ctx, "/decisions/"+c.ID, &doc); err != nil {
		return err
	}
	for _, rule := range c.rules(doc.Decision) {
		var w gate.Waiver
		// The waiver ends with the day that the person named.
		body := map[string]any{"bundle": digest, "rule": rule, "reason": c.Reason, "until": until.Add(24*time.Hour - time.Second)}
		if err := server.Post(env.Ctx, "/decisions/"+c.ID+"/waivers", body, &w); err != nil {
			return err
		}
		if !env.JSON {
			env.say("%s %s waived by %s until %s, on %s", env.Out.style("succeeded", "✓"), rule, w.Actor, w.Until.Format("2006-01-02"), digest.Short())
		}
	}
	if env.JSON {
		return env.printJSON(map[string]any{"decision": c.ID, "waived": c.rules(doc.Decision)})
	}
	return nil
}

// rules are those named, or all that wait.
func (c *approveCmd) rules(d gate.Decision) []string {
	if c.Waive != nil {
		return c.Waive
	}
	var out []string
	for _, r := range d.Results {
		if r.Outcome == gate.Waiting {
			out = append(out, r.Rule.Name)
		}
	}
	return out
}

func (c *approveCmd) list(env *Env) error {
	return env.reading(func(h *app.House) error {
		all, err := h.Gates.List(env.Ctx, gate.Filter{Verdict: gate.Waiting})
		if err != nil {
			return err
		}
		var open []gate.Decision
		for _, d := range all {
			_, model, _ := d.Subject.Ref.Parts()
			if ok, _, err := h.Gates.Allows(env.Ctx, model, d.Subject.Digest, time.Now()); err == nil && !ok {
				open = append(open, d)
			}
		}
		if env.JSON {
			return env.printJSON(map[string]any{"decisions": open})
		}
		if len(open) == 0 {
			env.say("nothing waits for a person")
			return nil
		}
		for _, d := range open {
			printWaiting(env, d)
		}
		return nil
	})
}

func printWaiting(env *Env, d gate.Decision) {
	_, model, version := d.Subject.Ref.Parts()
	env.say("%s %s   %s@%s   asked %s", env.Out.style("waiting", symbol("waiting")), d.ID, model, version, ago(d.At))
	for _, r := range d.Results {
		env.say("    %s %-18s %s", outcomeMark(env, r.Outcome), r.Rule.Name, r.Message)
	}
}

func (c *approveCmd) show(env *Env) error {
	return env.reading(func(h *app.House) error {
		d, err := h.Gates.Get(env.Ctx, c.ID)
		if err != nil {
			return err
		}
		waivers, err := h.Gates.Waivers(env.Ctx, c.ID)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(decisionDoc{d, waivers})
		}
		printWaiting(env, d)
		for _, w := range waivers {
			env.say("    waived: %s by %s until %s: %s", w.Rule, w.Actor, w.Until.Format("2006-01-02"), w.Reason)
		}
		env.say("\n  this exact decision is what your name will be on:")
		env.say("  %s", d.Digest)
		if d.Verdict == gate.Waiting {
			env.say("\nNext\n  %s", fmt.Sprintf(`lastro approve %s --bundle %s --until YYYY-MM-DD --reason "..."`, d.ID, d.Digest))
		}
		return nil
	})
}
