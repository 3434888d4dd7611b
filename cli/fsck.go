// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"time"

	"lastro/app"
	"lastro/blob"
)

type fsckCmd struct {
	Repair bool `help:"Move what is damaged aside, so that it is made again."`
}

func (*fsckCmd) Help() string {
	return `Compares each content with its digest, and says which steps, versions and artifacts need what is damaged or missing. Exit 8 when
something is. It changes nothing without --repair.

Examples:
  lastro fsck            check everything
  lastro fsck --repair   then lastro run makes lost outputs again`
}

func (c *fsckCmd) Run(env *Env) error {
	check := func(h *app.House) error {
		checked, err := h.Fsck(env.Ctx, c.Repair, readingProgress(env))
		if checked.Problems == nil {
			return err
		}
		if env.JSON {
			if perr := env.printJSON(checked); perr != nil {
				return perr
			}
			if err != nil {
				return reported{err}
			}
			return nil
		}
		for _, p := range checked.Problems {
			env.say("%s", strings.Join(problemLines(env, p), "\n"))
		}
		if err == nil {
			env.say("%s %s, %s: all as they were stored", env.Out.style("succeeded", "✓"), count(checked.Objects, "content"), bytesText(checked.Bytes))
		}
		return err
	}
	if c.Repair {
		return env.writing("fsck", nil, check)
	}
	return env.reading(check)
}

func problemLines(env *Env, p blob.Problem) []string {
	word := "damaged"
	if p.Missing {
		word = "missing"
	}
	lines := []string{fmt.Sprintf("%s %s %s: %s", env.Out.style("failed", "✗"), p.Digest, word, p.Why)}
	for _, by := range p.Needed {
		lines = append(lines, "    needed by "+by)
	}
	if p.More > 0 {
		lines = append(lines, fmt.Sprintf("    and by %d more", p.More))
	}
	if len(p.Needed) == 0 {
		lines = append(lines, "    needed by nothing that is kept")
	}
	if p.Moved != "" {
		lines = append(lines, "    moved to "+p.Moved)
	}
	return lines
}

// readingProgress shows how much was read, once a second.
func readingProgress(env *Env) func(objects int, bytes int64) {
	last := time.Now()
	return func(objects int, bytes int64) {
		if time.Since(last) >= time.Second {
			last = time.Now()
			env.note("%s read, %s", count(objects, "content"), bytesText(bytes))
		}
	}
}
