// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"lastro"
	"lastro/pipeline"
)

// stepLog is the end of what one attempt printed.
type stepLog struct {
	Lines []logLine
	More  string // how much is left out before them; "" = nothing
	Whole string // link to all of it; "" = there is none
}

type logLine struct {
	Number int // 0 = not known: the log is longer than what was read
	Text   string
	Hit    bool
}

const (
	logTail  = 60        // lines of a log that a page shows
	logBytes = 256 << 10 // bytes of its end that are read for them
)

// logOf shows the end of an attempt's log.
func (p *Pages) logOf(r *http.Request, l Lang, s pipeline.StepRun) (stepLog, error) {
	f, err := p.OpenLog(r.Context(), s)
	if lastro.Is(err, lastro.ENotFound) {
		return stepLog{}, nil
	}
	if err != nil {
		return stepLog{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return stepLog{}, err
	}
	from := max(0, size-logBytes)
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return stepLog{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, logBytes))
	if err != nil {
		return stepLog{}, err
	}
	if from > 0 { // the first line is most likely half a one
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	left := max(0, len(lines)-logTail)
	log := stepLog{Whole: fmt.Sprintf("/runs/%d/log?step=%s&cell=%d&attempt=%d", s.Run, s.Step, s.Cell, s.Attempt)}
	switch {
	case from > 0:
		log.More = l.T("run.log_size", bytesWords(l, size))
	case left > 0:
		log.More = l.Count("count.lines", left)
	}
	for i, line := range lines[left:] {
		shown := logLine{Text: plain(line)}
		if from == 0 {
			shown.Number = left + i + 1
		}
		log.Lines = append(log.Lines, shown)
	}
	if n := len(log.Lines); n > 0 && s.State == pipeline.Failed {
		log.Lines[n-1].Hit = true
	}
	return log, nil
}

// wholeLog answers with all that an attempt printed, as it was printed, to be saved.
func (p *Pages) wholeLog(w http.ResponseWriter, r *http.Request) {
	number, err := runNumber(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	steps, err := p.Runs.StepRuns(r.Context(), number)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	q := r.URL.Query()
	cell, _ := strconv.Atoi(q.Get("cell"))
	attempt, _ := strconv.Atoi(q.Get("attempt"))
	var found *pipeline.StepRun
	for i, s := range steps {
		if s.Step == q.Get("step") && s.Cell == cell && (attempt == 0 || s.Attempt == attempt) {
			found = &steps[i]
		}
	}
	if found == nil {
		p.fail(w, r, lastro.Errorf(lastro.ENotFound, "run #%d has no such step or attempt", number))
		return
	}
	f, err := p.OpenLog(r.Context(), *found)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	defer f.Close()
	head := w.Header()
	head.Set("Content-Security-Policy", fileCSP)
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("Content-Disposition", attachment(fmt.Sprintf("run-%d-%s-%d-%d.log", number, found.Step, cell, found.Attempt)))
	_, err = io.Copy(w, f)
	p.sent(r, err)
}

// plain drops terminal control sequences and bytes that are no text.
func plain(line string) string {
	line = ansi.ReplaceAllString(strings.ToValidUTF8(line, "·"), "")
	if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 {
		line = line[i+1:] // a progress bar overwrote what stood before
	}
	if r := []rune(line); len(r) > 2000 {
		line = string(r[:2000]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return -1
		}
		return r
	}, line)
}
