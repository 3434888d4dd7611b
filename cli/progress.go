// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"lastro/pipeline"
)

// progress shows a run as it goes: a line for each step that ends and, on a
// terminal, a last line with what is running now. Elsewhere every event is one
// line with its time.
type progress struct {
	env     *Env
	mu      sync.Mutex
	width   int // of the longest step name
	running map[string]time.Time
	last    string // newest line that a step printed
	live    bool   // the status line is on the screen
	stop    chan struct{}
	done    chan struct{}
	started bool
}

func newProgress(env *Env) *progress {
	return &progress{env: env, running: map[string]time.Time{}, stop: make(chan struct{}), done: make(chan struct{})}
}

// note shows a line of preparation, such as packages being installed.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print("  " + p.env.Term.style("muted", line))
}

// working shows what a tool prints in the status line; elsewhere it is dropped.
func (p *progress) working(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = line
}

// RunChanged implements pipeline.Observer.
func (p *progress) RunChanged(r pipeline.Run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return
	}
	p.started = true
	for _, s := range r.Spec.Steps {
		p.width = max(p.width, len(s.Name)+4*min(1, len(s.Matrix)))
	}
	head := fmt.Sprintf("run #%d  %s", r.Number, r.Project)
	if r.Git.Commit != "" {
		head += fmt.Sprintf("  %s @ %s", r.Git.Branch, r.Git.Commit[:min(7, len(r.Git.Commit))])
		if n := len(r.Git.Changed); n > 0 {
			head += " + " + count(n, "changed file")
		}
	}
	p.print(p.env.Term.style("bold", head))
	if r.Git.Commit == "" {
		p.print("  " + p.env.Term.style("muted", "no commit here: the code is named by its content, and a retrain cannot go back to it (git init, git commit)"))
	}
	if p.env.Term.TTY && !p.env.Quiet {
		go p.tick()
	} else {
		close(p.done)
	}
}

// StepChanged implements pipeline.Observer.
func (p *progress) StepChanged(s pipeline.StepRun) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := s.Step
	if s.Cell != 0 {
		name = fmt.Sprintf("%s[%d]", s.Step, s.Cell)
	}
	if s.State == pipeline.Running {
		p.running[name] = time.Now()
		if !p.env.Term.TTY {
			p.print(p.line(name, s))
		}
		return
	}
	if s.State == pipeline.Pending {
		return
	}
	delete(p.running, name)
	p.print(p.line(name, s))
}

func (p *progress) line(name string, s pipeline.StepRun) string {
	took := ""
	if !s.EndedAt.IsZero() && !s.StartedAt.IsZero() {
		took = seconds(s.EndedAt.Sub(s.StartedAt))
	}
	state := string(s.State)
	text := fmt.Sprintf("  %s %-*s  %-9s %7s  %s", symbol(state), p.width, name, state, took, detail(s))
	return p.env.Term.style(state, strings.TrimRight(text, " "))
}

// detail is what a person wants beside the state: metrics, or the reason.
func detail(s pipeline.StepRun) string {
	if s.State != pipeline.Succeeded {
		return s.Reason
	}
	var names []string
	for k := range s.Facts {
		if strings.HasSuffix(k, ".ci_low") || strings.HasSuffix(k, ".ci_high") || strings.Count(k, ".") > 2 {
			continue
		}
		names = append(names, k)
	}
	sort.Strings(names)
	var out []string
	for _, k := range names[:min(3, len(names))] {
		out = append(out, fmt.Sprintf("%s %.4g", strings.TrimPrefix(k, "metrics."), s.Facts[k]))
	}
	return strings.Join(out, "  ")
}

// LogLine implements pipeline.Observer.
func (p *progress) LogLine(_ int64, step string, _ int, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = step + " │ " + line
}

// print writes a line above the status line; p.mu is held.
func (p *progress) print(line string) {
	if p.env.Quiet {
		return
	}
	p.erase()
	if !p.env.Term.TTY {
		line = time.Now().Format("15:04:05") + " " + line
	}
	fmt.Fprintln(p.env.Stderr, line)
}

func (p *progress) erase() {
	if p.live {
		fmt.Fprint(p.env.Stderr, "\r\x1b[2K")
		p.live = false
	}
}

func (p *progress) tick() {
	defer close(p.done)
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			p.mu.Lock()
			p.erase()
			p.mu.Unlock()
			return
		case <-t.C:
			p.status()
		}
	}
}

// status redraws the line of what is running now.
func (p *progress) status() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	if len(p.running) == 0 && p.last == "" {
		return
	}
	names := []string{}
	if len(p.running) == 0 {
		names = append(names, "preparing")
	}
	for n, since := range p.running {
		names = append(names, fmt.Sprintf("%s %s", n, seconds(time.Since(since))))
	}
	sort.Strings(names)
	text := "  ● " + strings.Join(names, " · ")
	if p.last != "" {
		text += "   " + p.last
	}
	if r := []rune(text); len(r) > p.env.Term.Width-1 {
		text = string(r[:p.env.Term.Width-2]) + "…"
	}
	fmt.Fprint(p.env.Stderr, p.env.Term.style("running", text))
	p.live = true
}

func (p *progress) close() {
	p.mu.Lock()
	started := p.started
	p.started = true
	p.mu.Unlock()
	if !started {
		return
	}
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	<-p.done
}
