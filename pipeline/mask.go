// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mask returns what hides the secrets of the step in a text; nil when it has
// none.
func (a *attempt) mask() func(text string) string {
	if a.job == nil || len(a.job.Secrets) == 0 || a.r.plan.shop.Mask == nil {
		return nil
	}
	return a.r.plan.shop.Mask(slices.Sorted(maps.Values(a.job.Secrets)))
}

// hide takes the secrets of the step out of what is kept of it besides reports,
// plots, summary and values: the collector did those.
func (a *attempt) hide() {
	mask := a.mask()
	if mask == nil {
		return
	}
	s := &a.row
	s.Reason = mask(s.Reason)
	if e := s.Error; e != nil {
		e.Msg, e.Hint = mask(e.Msg), mask(e.Hint)
		for i, n := range e.Notes {
			e.Notes[i] = mask(n)
		}
	}
	facts := make(map[string]float64, len(s.Facts))
	for name, v := range s.Facts {
		facts[mask(name)] = v
	}
	s.Facts = facts
	if s.Report = json.RawMessage(mask(string(s.Report))); !json.Valid(s.Report) {
		s.Report = nil
	}
}

// maskedCopy returns the path of a copy of a file's text without secrets; the
// file itself when it holds none, or is a picture of pixels.
func (c collector) maskedCopy(file string, raw []byte) (string, []byte, error) {
	if c.mask == nil || strings.EqualFold(filepath.Ext(file), ".png") {
		return file, raw, nil
	}
	text := c.mask(string(raw))
	if text == string(raw) {
		return file, raw, nil
	}
	f, err := os.CreateTemp(c.job.Scratch, "masked-*"+filepath.Ext(file))
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return f.Name(), []byte(text), err
}
