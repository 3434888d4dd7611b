// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// sarifLog is what is read of SARIF 2.1.0 (OASIS standard, sections 3.13 to 3.58).
type sarifLog struct {
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver     sarifComponent   `json:"driver"`
		Extensions []sarifComponent `json:"extensions"`
	} `json:"tool"`
	Artifacts []struct {
		Location sarifArtifact `json:"location"`
	} `json:"artifacts"`
	Results json.RawMessage `json:"results"` // a list of sarifResult, read one by one: there may be a million
}

type sarifComponent struct {
	Name  string      `json:"name"`
	Rules []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID                   string                  `json:"id"`
	MessageStrings       map[string]sarifMessage `json:"messageStrings"`
	DefaultConfiguration struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifMessage struct {
	Text      string   `json:"text"`
	ID        string   `json:"id"`
	Arguments []string `json:"arguments"`
}

type sarifArtifact struct {
	URI   string `json:"uri"`
	Index *int   `json:"index"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Rule      struct {
		ID            string `json:"id"`
		Index         *int   `json:"index"`
		ToolComponent struct {
			Index *int `json:"index"`
		} `json:"toolComponent"`
	} `json:"rule"`
	Kind          string       `json:"kind"`
	Level         string       `json:"level"`
	BaselineState string       `json:"baselineState"`
	Message       sarifMessage `json:"message"`
	Locations     []struct {
		PhysicalLocation struct {
			ArtifactLocation sarifArtifact `json:"artifactLocation"`
			Region           struct {
				StartLine   int `json:"startLine"`
				StartColumn int `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
}

// readSARIF reads a SARIF 2.1.0 log. Only results of the kind fail count;
// suppressed ones and those that a baseline says are gone do not.
func readSARIF(raw []byte, hide func(string) string) (*Findings, error) {
	var log sarifLog
	if err := decodeReport(raw, &log); err != nil {
		return nil, err
	}
	if log.Version != "2.1.0" {
		return nil, &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: 1}, Msg: fmt.Sprintf("it is not SARIF 2.1.0: its version is %.20q", log.Version),
			Hint: "most tools write 2.1.0 when asked for it; older versions are not read"}
	}
	f := &Findings{}
	for _, run := range log.Runs {
		if name := clip(run.Tool.Driver.Name, maxReportLine); name != "" && !slices.Contains(f.Tools, name) && len(f.Tools) < maxReportItems {
			f.Tools = append(f.Tools, name)
		}
		if err := f.read(run, hide); err != nil {
			return nil, err
		}
	}
	f.worst()
	f.Left = f.Errors + f.Warnings + f.Notes - len(f.List)
	return f, nil
}

// read adds the results of one run of a tool.
func (f *Findings) read(run sarifRun, hide func(string) string) error {
	if len(run.Results) == 0 || string(run.Results) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(run.Results))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		return lastro.Errorf(lastro.EFailed, "results is no list")
	}
	for n := 1; dec.More(); n++ {
		var r sarifResult
		if err := dec.Decode(&r); err != nil {
			var kind *json.UnmarshalTypeError
			if errors.As(err, &kind) {
				return lastro.Errorf(lastro.EFailed, "in result %d %s is %s, which is not what belongs there", n, cmp.Or(kind.Field, "the result"), kind.Value)
			}
			return lastro.Errorf(lastro.EFailed, "result %d cannot be read: %v", n, err)
		}
		f.add(run, r, hide)
		if len(f.List) >= 10*maxReportItems {
			f.worst()
		}
	}
	return nil
}

// worst keeps the findings that matter most.
func (f *Findings) worst() {
	rank := map[string]int{"error": 0, "warning": 1, "note": 2}
	slices.SortStableFunc(f.List, func(a, b Finding) int { return cmp.Compare(rank[a.Level], rank[b.Level]) })
	f.List = slices.Clone(f.List[:min(len(f.List), maxReportItems)])
}

func (f *Findings) add(run sarifRun, r sarifResult, hide func(string) string) {
	if r.Kind != "" && r.Kind != "fail" || r.BaselineState == "absent" || r.suppressed() {
		return
	}
	rule := run.rule(r)
	level := cmp.Or(r.Level, rule.DefaultConfiguration.Level, "warning")
	switch level {
	case "error":
		f.Errors++
	case "warning":
		f.Warnings++
	case "note":
		f.Notes++
	default: // none: it says something and finds nothing
		return
	}
	d := Finding{Level: level, Rule: clip(cmp.Or(r.RuleID, r.Rule.ID, rule.ID), maxReportLine), Message: clip(hide(r.Message.of(rule)), maxReportLine)}
	if len(r.Locations) > 0 {
		at := r.Locations[0].PhysicalLocation
		d.File = clip(run.file(at.ArtifactLocation), maxReportLine)
		d.Line, d.Column = max(at.Region.StartLine, 0), max(at.Region.StartColumn, 0)
	}
	f.List = append(f.List, d)
}

// suppressed: a suppression that is not rejected or under review holds.
func (r sarifResult) suppressed() bool {
	for _, s := range r.Suppressions {
		if s.Status == "" || s.Status == "accepted" {
			return true
		}
	}
	return false
}

// rule finds what the tool says of the result's rule.
func (run sarifRun) rule(r sarifResult) sarifRule {
	component := run.Tool.Driver
	if i := r.Rule.ToolComponent.Index; i != nil && *i >= 0 && *i < len(run.Tool.Extensions) {
		component = run.Tool.Extensions[*i]
	}
	index := r.RuleIndex
	if index == nil {
		index = r.Rule.Index
	}
	if index != nil && *index >= 0 && *index < len(component.Rules) {
		return component.Rules[*index]
	}
	id := cmp.Or(r.RuleID, r.Rule.ID)
	for _, rule := range component.Rules {
		// "CA1000/1" is the rule CA1000 (section 3.27.5).
		if rule.ID == id || rule.ID != "" && strings.HasPrefix(id, rule.ID+"/") {
			return rule
		}
	}
	return sarifRule{}
}

// of returns the message's text; one that is only named stands with the rule.
func (m sarifMessage) of(rule sarifRule) string {
	text := cmp.Or(m.Text, rule.MessageStrings[m.ID].Text)
	for i, a := range m.Arguments[:min(len(m.Arguments), 20)] {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", clip(a, maxReportLine))
	}
	return firstLine(text)
}

func (run sarifRun) file(a sarifArtifact) string {
	uri := a.URI
	if uri == "" && a.Index != nil && *a.Index >= 0 && *a.Index < len(run.Artifacts) {
		uri = run.Artifacts[*a.Index].Location.URI
	}
	if path, err := url.PathUnescape(uri); err == nil {
		uri = path
	}
	return strings.TrimPrefix(uri, "file://")
}

// decodeReport decodes one JSON document and says where it is none.
func decodeReport(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	err := dec.Decode(v)
	if err == nil {
		if rest := bytes.TrimSpace(raw[dec.InputOffset():]); len(rest) > 0 {
			return jsonTrouble(raw, int64(len(raw)-len(rest)), "something follows after the end of the document")
		}
		return nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return jsonTrouble(raw, kind.Offset, fmt.Sprintf("%s is %s, which is not what belongs there", cmp.Or(kind.Field, "the document"), kind.Value))
	case errors.As(err, &syntax):
		return jsonTrouble(raw, syntax.Offset, "it is not JSON: "+syntax.Error())
	}
	return jsonTrouble(raw, int64(len(raw)), "it is not JSON: it ends too early")
}

// jsonTrouble turns an offset into a line and column.
func jsonTrouble(raw []byte, offset int64, what string) error {
	before := raw[:max(0, min(int64(len(raw)), offset))]
	line := 1 + bytes.Count(before, []byte("\n"))
	col := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: line, Col: max(col, 1)}, Msg: what}
}
