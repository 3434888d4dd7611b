// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"lastro/pipeline"
)

// functions are what templates may call besides methods of their data.
var functions = template.FuncMap{
	"class":     stateClass,
	"symbol":    stateSymbol,
	"breakable": breakable,
	"pair":      func(a, b any) struct{ A, B any } { return struct{ A, B any }{a, b} },
	"int64":     func(n int) int64 { return int64(n) },
	"lower":     func(s any) string { return strings.ToLower(fmt.Sprint(s)) },
	"short":     func(s *string) string { return shorten(*s, 80) },
}

// breakable lets a long dotted name wrap after its dots and underscores.
func breakable(s string) template.HTML {
	return template.HTML(strings.NewReplacer(".", ".<wbr>", "_", "_<wbr>").Replace(template.HTMLEscapeString(s)))
}

// stateClass is the CSS class of a state.
func stateClass(s any) string {
	switch text := asText(s); text {
	case "succeeded", "passed", "waived", "ok", "resolved":
		return "passed"
	case "failed", "alert", "firing", "rolled_back", "rolling_back":
		return "failed"
	case "errored":
		return "errored"
	case "running", "starting", "promoting":
		return "running"
	case "waiting", "pending_person":
		return "waiting"
	case "warn", "warned", "warning", "cancelled":
		return "warn"
	case "cached", "pending":
		return text
	}
	return "skipped"
}

// stateSymbol doubles a state by a sign; the word always stands beside it.
func stateSymbol(s any) string {
	return map[string]string{"passed": "✓", "failed": "✗", "errored": "✗", "running": "●", "waiting": "II", "warn": "!", "cached": "=",
		"pending": "○", "skipped": "–"}[stateClass(s)]
}

func asText(s any) string {
	switch v := s.(type) {
	case string:
		return v
	case pipeline.State:
		return string(v)
	case interface{ String() string }:
		return v.String()
	}
	return template.HTMLEscaper(s)
}

// spanOf turns seconds into a length of time.
func spanOf(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// plainText is plain for a text of several lines.
func plainText(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n")
}
