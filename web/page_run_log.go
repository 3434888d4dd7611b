// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strconv"
	"strings"

	"lastro/pipeline"
)

// stepLog is the end of what one step printed.
type stepLog struct {
	Step  string
	Lines []logLine
	More  int // earlier lines left out
}

type logLine struct {
	Number int
	Text   string
	Hit    bool
}

const logTail = 60 // lines of a log that a page shows

// logOf shows the step that was asked for, else the one that failed or runs,
// else the last that ran.
func (p *Pages) logOf(r *http.Request, steps []pipeline.StepRun) (stepLog, error) {
	var pick *pipeline.StepRun
	rank := 0
	cell, _ := strconv.Atoi(r.URL.Query().Get("cell"))
	for i, s := range steps {
		k := map[pipeline.State]int{pipeline.Succeeded: 1, pipeline.Cached: 1, pipeline.Running: 2, pipeline.Errored: 3, pipeline.Failed: 4}[s.State]
		if s.Step == r.URL.Query().Get("step") && s.Cell == cell {
			k = 9
		}
		if k > 0 && k >= rank {
			pick, rank = &steps[i], k
		}
	}
	if pick == nil {
		return stepLog{}, nil
	}
	text, err := p.wholeLog(r, *pick)
	if err != nil {
		return stepLog{}, err
	}
	log := stepLog{Step: stepTitle(*pick)}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if text == "" {
		lines = nil
	}
	log.More = max(0, len(lines)-logTail)
	for i, line := range lines[log.More:] {
		log.Lines = append(log.Lines, logLine{Number: log.More + i + 1, Text: plain(line)})
	}
	if n := len(log.Lines); n > 0 && pick.State == pipeline.Failed {
		log.Lines[n-1].Hit = true
	}
	return log, nil
}

// wholeLog reads up to 4 MiB of a log, the end when it is longer.
func (p *Pages) wholeLog(r *http.Request, s pipeline.StepRun) (string, error) {
	var b strings.Builder
	var offset int64
	for b.Len() < 4<<20 {
		text, next, err := p.ReadLog(r.Context(), s.Run, s.Step, s.Cell, offset)
		if err != nil {
			return "", err
		}
		if next <= offset {
			break
		}
		b.Write(text)
		offset = next
	}
	return b.String(), nil
}

// plain drops terminal control sequences and bytes that are no text.
func plain(line string) string {
	line = ansi.ReplaceAllString(line, "")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "·"))
}
