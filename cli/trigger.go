// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/trigger"
)

type triggerCmd struct {
	Ls          triggerLsCmd      `cmd:"" help:"What starts runs, the next tick, and what started the last ones."`
	Approve     triggerApproveCmd `cmd:"" help:"Let the run of a pull request from a fork start."`
	Refuse      triggerRefuseCmd  `cmd:"" help:"End a pull request from a fork without a run."`
	InstallHook triggerHookCmd    `cmd:"" name:"install-hook" help:"Write a post-receive hook into the repository that people push to."`
	Pushed      triggerPushedCmd  `cmd:"" hidden:"" help:"Tell the server of a push; the hook calls it."`
}

type triggerLsCmd struct {
	Limit int `short:"n" default:"10" help:"How many causes at most."`
}

func (*triggerLsCmd) Help() string {
	return `Examples:
  lastro trigger ls            triggers of lastro.yaml, and the newest causes of runs
  lastro trigger ls -n 100     more causes

Runs are started by a server only: lastro up.`
}

func (c *triggerLsCmd) Run(env *Env) error {
	var doc trigger.Overview
	var list struct {
		Causes []trigger.Cause `json:"causes"`
	}
	var err error
	server, up := app.Connect(env.paths())
	if up { // it knows which repository it watches
		if err = server.Get(env.Ctx, "/triggers", &doc); err == nil {
			err = server.Get(env.Ctx, fmt.Sprintf("/causes?limit=%d", c.Limit), &list)
		}
	} else {
		err = env.reading(func(h *app.House) (err error) {
			if doc, err = h.TriggersNow(env.Ctx); err == nil {
				list.Causes, err = h.Causes(env.Ctx, trigger.Filter{Limit: c.Limit})
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]any{"repository": doc.Repository, "triggers": doc.Triggers, "causes": append([]trigger.Cause{}, list.Causes...)})
	}
	if !up && len(doc.Triggers) > 0 {
		env.note("no server is up, so nothing starts a run now: lastro up")
		doc.Repository = "" // nobody watches it, and the next server may be told another
	}
	c.print(env, doc, list.Causes)
	return nil
}

func (c *triggerLsCmd) print(env *Env, doc trigger.Overview, causes []trigger.Cause) {
	if doc.Repository != "" {
		env.say("watching %s", doc.Repository)
	}
	var rows [][]string
	for _, t := range doc.Triggers {
		next, last := "", "nothing yet"
		if t.Next != nil {
			next = "next " + t.Next.Local().Format("2006-01-02 15:04 -0700")
		}
		if t.Last != nil {
			last = "last " + ago(t.Last.SeenAt) + ": " + outcome(*t.Last)
		}
		rows = append(rows, []string{strings.ReplaceAll(string(t.Kind), "_", " "), t.Detail, next, last})
	}
	if len(rows) == 0 {
		env.say("lastro.yaml has no on: people start runs, and nothing else")
	}
	for _, line := range table(rows) {
		env.say("%s", strings.TrimRight(line, " "))
	}
	if len(causes) == 0 {
		return
	}
	env.say("\nCauses")
	rows = nil
	for _, x := range causes {
		rows = append(rows, []string{x.ID, strings.ReplaceAll(string(x.Kind), "_", " "), about(x), ago(x.SeenAt), string(x.Actor), outcome(x)})
	}
	for _, line := range table(rows) {
		env.say("  %s", strings.TrimRight(line, " "))
	}
	for _, x := range causes {
		if x.State == trigger.Waiting {
			env.say("\nNext\n  lastro trigger approve %s    after reading the code of %s", x.ID, about(x))
		}
	}
}

// about names what a cause is about.
func about(c trigger.Cause) string {
	switch c.Kind {
	case trigger.KindPush, trigger.KindTag:
		return fmt.Sprintf("%s %.7s", strings.TrimPrefix(strings.TrimPrefix(c.Ref, "refs/heads/"), "refs/tags/"), c.Commit)
	case trigger.KindPullRequest:
		from := ""
		if c.Trust == trigger.Fork {
			from = fmt.Sprintf(" from %v", c.Detail["from"])
		}
		return fmt.Sprintf("#%d into %s %.7s%s", c.Number(), c.Base, c.Commit, from)
	case trigger.KindSchedule:
		return fmt.Sprint(c.Detail["tick"])
	case trigger.KindData:
		version, _ := c.Detail["version"].(string)
		return fmt.Sprintf("%v@%s", c.Detail["dataset"], lastro.Digest(version).Short())
	case trigger.KindAlert:
		return fmt.Sprint(c.Detail["alert"])
	}
	return ""
}

// outcome says what became of a cause.
func outcome(c trigger.Cause) string {
	if c.Run != 0 {
		return fmt.Sprintf("run #%d", c.Run)
	}
	if c.Reason == "" {
		return string(c.State)
	}
	return string(c.State) + ": " + c.Reason
}

type triggerApproveCmd struct {
	ID string `arg:"" name:"CAUSE" help:"Which cause, such as 4f0c9a1b2d3e; lastro trigger ls lists those that wait."`
}

func (*triggerApproveCmd) Help() string {
	return `The code of the fork then runs on this machine: without secrets, without network, with the lastro.yaml and gates of the branch
that it wants to go into, and without registering or deploying anything. Its next commit waits again.

Examples:
  lastro trigger ls
  lastro trigger approve 4f0c9a1b2d3e`
}

func (c *triggerApproveCmd) Run(env *Env) error { return decide(env, c.ID, "approve", "") }

type triggerRefuseCmd struct {
	ID  string `arg:"" name:"CAUSE" help:"Which cause."`
	Why string `name:"reason" help:"Why; it is kept with your name."`
}

func (c *triggerRefuseCmd) Run(env *Env) error { return decide(env, c.ID, "refuse", c.Why) }

func decide(env *Env, id, verb, why string) error {
	if strings.Trim(id, "0123456789abcdef") != "" || id == "" {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0690", Msg: fmt.Sprintf("%q names no cause", id), Hint: "lastro trigger ls lists them; their names are 12 hex digits"}
	}
	server, err := env.server("trigger " + verb)
	if err != nil {
		return err
	}
	var cause trigger.Cause
	if err := server.Post(env.Ctx, "/causes/"+id+"/"+verb, map[string]string{"why": why}, &cause); err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(cause)
	}
	if verb == "approve" {
		env.say("%s the run of %s starts", env.Out.style("succeeded", "✓"), about(cause))
		return nil
	}
	env.say("%s %s starts no run", env.Out.style("succeeded", "✓"), about(cause))
	return nil
}

type triggerHookCmd struct {
	Repository string `arg:"" name:"REPOSITORY" help:"Folder of the repository on this machine that people push to."`
}

func (*triggerHookCmd) Help() string {
	return `Each push then starts its run at once instead of at the next look. The hook calls the server of this project on this machine;
when none is up it says so, and the push is found when the server starts.

Examples:
  lastro trigger install-hook /srv/git/project.git
  lastro up --repository /srv/git/project.git`
}

func (c *triggerHookCmd) Run(env *Env) error {
	if _, err := env.project(); err != nil {
		return err
	}
	file, err := app.InstallHook(env.Ctx, env.paths(), c.Repository)
	if err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]string{"hook": file})
	}
	env.say("%s %s tells lastro of each push", env.Out.style("succeeded", "✓"), file)
	return nil
}

type triggerPushedCmd struct{}

// Run reads the lines that git gives a post-receive hook: before, after, ref.
// It never fails: the push has happened.
func (*triggerPushedCmd) Run(env *Env) error {
	server, ok := app.Connect(env.paths())
	if !ok {
		fmt.Fprintln(env.Stderr, "lastro: no server is up; it finds this push when it starts")
		return nil
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			continue
		}
		var taken app.Taken
		err := server.Post(env.Ctx, "/pushes", app.PushRequest{Before: f[0], After: f[1], Ref: f[2]}, &taken)
		switch {
		case err != nil:
			fmt.Fprintf(env.Stderr, "lastro: %s: %v\n", f[2], err)
		case taken.Ignored != "":
			fmt.Fprintf(env.Stderr, "lastro: %s starts no run: %s\n", f[2], taken.Ignored)
		default:
			fmt.Fprintf(env.Stderr, "lastro: a run of %s follows: %s/runs\n", f[2], server.URL())
		}
	}
	return nil
}

// watching checks what `up` is told to watch.
func watching(repository string, poll time.Duration) (app.Watching, error) {
	if poll != 0 && poll < time.Second {
		return app.Watching{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0691", Msg: fmt.Sprintf("--poll %v is too often", poll), Hint: "a second is the least; 1m is kind to the host of the repository"}
	}
	if info, err := os.Stat(repository); err == nil && info.IsDir() {
		if repository, err = filepath.Abs(repository); err != nil {
			return app.Watching{}, err
		}
	}
	return app.Watching{Repository: repository, Poll: poll}, app.CheckRepository(repository)
}
