// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"lastro/pipeline"
)

// progress shows a run as it goes. On a terminal it is a table that is drawn
// again and again, with the last lines of what runs (progress_table.go);
// elsewhere every event is one line with its time (UTC).
type progress struct {
	env  *Env
	mu   sync.Mutex
	view view

	last    string // what a tool printed last while the run was prepared
	drawn   int    // lines of the table that are on the screen
	started bool
	stop    chan struct{}
	done    chan struct{}
}

func newProgress(env *Env) *progress {
	return &progress{env: env, stop: make(chan struct{}), done: make(chan struct{})}
}

// note shows a line of preparation, such as packages being installed.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print("  " + p.env.Term.style("muted", clean(line)))
}

// working shows what a tool prints in the status line; elsewhere it is dropped.
func (p *progress) working(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = clean(line)
}

// RunChanged implements pipeline.Observer.
func (p *progress) RunChanged(r pipeline.Run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return
	}
	p.started = true
	p.view.of(r.Spec)
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
	news := p.view.take(s, time.Now())
	if p.env.Term.TTY || p.env.Quiet {
		return
	}
	if line := p.view.event(s, news); line != "" {
		p.print(p.env.Term.style(string(s.State), line))
	}
}

// WantsLines reports whether LogLine shows anything: following many small logs
// for nothing has its price.
func (p *progress) WantsLines() bool { return p.env.Term.TTY && !p.env.Quiet }

// LogLine implements pipeline.Observer.
func (p *progress) LogLine(_ int64, step string, cell int, line string) {
	if !p.env.Term.TTY {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.line(step, cell, clean(line))
}

// print writes a line above the table; p.mu is held.
func (p *progress) print(line string) {
	if p.env.Quiet {
		return
	}
	p.erase()
	if !p.env.Term.TTY {
		line = time.Now().UTC().Format("15:04:05") + " " + line
	}
	fmt.Fprintln(p.env.Stderr, line)
}

// erase takes the table off the screen.
func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.env.Stderr, "\r\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
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
			for _, r := range p.view.result() {
				fmt.Fprintln(p.env.Stderr, p.env.Term.style(r.state, r.text))
			}
			p.mu.Unlock()
			return
		case <-t.C:
			p.draw()
		}
	}
}

// draw writes the table over the one before, in one go so that it does not flicker.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	columns, height := p.env.size()
	rows := p.view.table(time.Now(), height-2)
	if p.last != "" && !p.view.busy() {
		rows = append(rows, row{"muted", "  " + p.last})
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", p.drawn)
	}
	for _, r := range rows {
		b.WriteString("\x1b[2K" + p.env.Term.style(r.state, fit(r.text, columns-1)) + "\n")
	}
	b.WriteString("\x1b[J")
	p.drawn = len(rows)
	fmt.Fprint(p.env.Stderr, b.String())
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

// needsOf are the steps that a step waits for.
func needsOf(s pipeline.StepSpec) []string {
	needs := slices.Clone(s.Needs)
	for _, in := range s.Inputs {
		if in.Step != "" && !slices.Contains(needs, in.Step) {
			needs = append(needs, in.Step)
		}
	}
	return needs
}
