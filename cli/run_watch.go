// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/project"
)

// watchEvery is how often files are looked at; so long they also have to stay
// as they are before a run begins, because editors write more than once.
const watchEvery = 250 * time.Millisecond

// watch runs once more whenever files have changed, until it is interrupted.
// What was saved while a run went on counts when that has ended.
func watch(env *Env, once func() error) error {
	seen, err := watchedFiles(env)
	if err != nil {
		return err
	}
	for {
		if err := once(); err != nil {
			if env.Ctx.Err() != nil || errors.Is(err, context.Canceled) || lastro.Is(err, lastro.EConflict) {
				return err
			}
			fail(env, err)
		}
		env.note("%s", env.Term.style("muted", "watching "+count(len(seen), "file")+" for changes; ctrl-C ends"))
		next, err := changedSince(env, seen)
		if env.Ctx.Err() != nil {
			return nil // to wait is not to be interrupted
		}
		if err != nil {
			return err
		}
		env.note("\n%s", env.Term.style("bold", "changed: "+whatChanged(seen, next)))
		seen = next
	}
}

// changedSince waits until files differ from seen and have settled.
func changedSince(env *Env, seen map[string]string) (map[string]string, error) {
	var last map[string]string
	for {
		if err := wait(env, watchEvery); err != nil {
			return nil, err
		}
		now, err := watchedFiles(env)
		if err != nil {
			return nil, err
		}
		if !maps.Equal(now, seen) && maps.Equal(now, last) {
			return now, nil
		}
		last = now
	}
}

// watchedFiles are the marks of the project's files and datasets, by path.
func watchedFiles(env *Env) (map[string]string, error) {
	p, err := project.Load(env.Dir)
	if err != nil {
		p = nil // it is about to be mended
	}
	files, err := app.WatchedFiles(env.Ctx, env.Dir, p)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(files))
	for _, f := range files {
		if f == "lastro.lock" { // the run itself writes it
			continue
		}
		info, err := os.Stat(filepath.Join(env.Dir, filepath.FromSlash(f)))
		if err != nil {
			continue
		}
		out[f] = fmt.Sprintf("%d %d %v", info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return out, nil
}

// whatChanged names the files that differ.
func whatChanged(before, now map[string]string) string {
	var names []string
	for f, mark := range now {
		switch was, there := before[f]; {
		case !there:
			names = append(names, f+" (new)")
		case was != mark:
			names = append(names, f)
		}
	}
	for f := range before {
		if _, there := now[f]; !there {
			names = append(names, f+" (gone)")
		}
	}
	slices.Sort(names)
	const many = 5
	if n := len(names); n > many {
		names = append(names[:many], fmt.Sprintf("%d more", n-many))
	}
	return strings.Join(names, ", ")
}
