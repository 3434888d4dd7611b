// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/pipeline"
)

// submit starts a run on the living server and follows it to its end.
func submit(env *Env, server *app.Client, req app.RunRequest) error {
	var queued struct {
		Run int64 `json:"run"`
	}
	if err := server.Post(env.Ctx, "/runs", requestBody(req), &queued); err != nil {
		return err
	}
	return followToEnd(env, server, queued.Run)
}

// followToEnd shows a run of the server to its end and prints its result.
func followToEnd(env *Env, server *app.Client, run int64) error {
	show := newProgress(env)
	started := time.Now()
	doc, err := followRun(env, server, run, show)
	show.close()
	if errors.Is(err, env.Ctx.Err()) && env.Ctx.Err() != nil {
		env.note("run #%d goes on at %s/runs/%d; lastro cancel %d ends it", run, server.URL(), run, run)
		return err
	}
	if err != nil {
		return goesOn(err, run)
	}
	return finish(env, doc.result(), time.Since(started))
}

// goesOn adds to the error of a server that is gone what becomes of the run.
func goesOn(err error, run int64) error {
	var e *lastro.Error
	if !errors.As(err, &e) || e.ID != "L0408" {
		return err
	}
	said := *e
	said.Notes = append(said.Notes, fmt.Sprintf("run #%d is not lost: the steps that are under way go on by themselves, and what they make is kept", run))
	said.Hint = fmt.Sprintf("lastro up takes the run over; or without a server: lastro resume %d", run)
	return &said
}

func requestBody(req app.RunRequest) map[string]any {
	return map[string]any{"only": req.Only, "from": req.From, "no_cache": req.NoCache, "params": req.Params, "strict": req.Strict}
}

// planRemotely asks the living server what a run would do.
func planRemotely(env *Env, server *app.Client, req app.RunRequest) error {
	var p pipeline.Plan
	if err := server.Post(env.Ctx, "/plan", requestBody(req), &p); err != nil {
		return err
	}
	return printPlan(env, &p)
}

// remoteRun is a run as the server shows it.
type remoteRun struct {
	Run      pipeline.Run       `json:"run"`
	Steps    []pipeline.StepRun `json:"steps"`
	Versions []remoteVersion    `json:"versions"`
	Deciding bool               `json:"deciding"`
}

// result turns the document into what `run` prints of its own runs.
func (r remoteRun) result() app.RunResult {
	out := app.RunResult{Run: r.Run, Steps: r.Steps}
	for _, v := range r.Versions {
		out.Version, out.Decision = v.version(), v.Decision
		out.Reused = v.Run != strconv.FormatInt(r.Run.Number, 10)
	}
	return out
}

// followRun polls until the run has ended and all that follows from it is decided.
func followRun(env *Env, server *app.Client, run int64, show *progress) (remoteRun, error) {
	seen := map[string]pipeline.State{}
	logs := remoteLogs{server: server, run: run, show: show, offsets: map[string]int64{}}
	for {
		var doc remoteRun
		if err := server.Get(env.Ctx, fmt.Sprintf("/runs/%d", run), &doc); err != nil {
			return doc, err
		}
		show.RunChanged(doc.Run)
		for _, s := range doc.Steps {
			key := fmt.Sprintf("%s.%d.%d", s.Step, s.Cell, s.Attempt)
			if seen[key] != s.State {
				seen[key] = s.State
				show.StepChanged(s)
			}
		}
		if doc.Run.State.Ended() && !doc.Deciding {
			return doc, nil
		}
		if show.WantsLines() {
			logs.look(env, doc.Steps)
		}
		if err := wait(env, 200*time.Millisecond); err != nil {
			return doc, err
		}
	}
}

// remoteLogs asks the server for what the steps that run have printed.
type remoteLogs struct {
	server  *app.Client
	run     int64
	show    *progress
	offsets map[string]int64
}

// look shows the new lines of a few running steps; what cannot be read now is
// asked for again.
func (l *remoteLogs) look(env *Env, steps []pipeline.StepRun) {
	asked := 0
	for _, s := range steps {
		if s.State != pipeline.Running || asked == 3 {
			continue
		}
		asked++
		key := fmt.Sprintf("%s.%d.%d", s.Step, s.Cell, s.Attempt)
		q := url.Values{"step": {s.Step}, "cell": {strconv.Itoa(s.Cell)}, "attempt": {strconv.Itoa(s.Attempt)}, "offset": {strconv.FormatInt(l.offsets[key], 10)}}
		var answer struct {
			Text string `json:"text"`
			Next int64  `json:"next"`
		}
		if l.server.Get(env.Ctx, fmt.Sprintf("/runs/%d/log?%s", l.run, q.Encode()), &answer) != nil {
			continue
		}
		l.offsets[key] = answer.Next
		for line := range strings.Lines(answer.Text) {
			l.show.LogLine(l.run, s.Step, s.Cell, strings.TrimRight(line, "\r\n"))
		}
	}
}

// wait sleeps, or returns the cause when the command is interrupted.
func wait(env *Env, d time.Duration) error {
	select {
	case <-env.Ctx.Done():
		return env.Ctx.Err()
	case <-time.After(d):
		return nil
	}
}
