// SPDX-License-Identifier: Apache-2.0

package web

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
)

// families are keys that are put together while running: prefix and the values
// that may follow.
func families() map[string][]string {
	states := []string{"pending", "running", "waiting", "cached", "skipped", "cancelled", "succeeded", "failed", "errored"}
	var runs []string
	for _, s := range []pipeline.State{pipeline.Pending, pipeline.Running, pipeline.Waiting, pipeline.Succeeded, pipeline.Failed, pipeline.Errored, pipeline.Cancelled} {
		runs = append(runs, string(s))
	}
	return map[string][]string{"state.": states, "run.": runs,
		"outcome.": {string(gate.Passed), string(gate.Failed), string(gate.Waiting), string(gate.Waived), string(gate.Warned)},
		"rollout.": {string(deploy.Starting), string(deploy.Running), string(deploy.Promoting), string(deploy.RollingBack), string(deploy.Succeeded), string(deploy.RolledBack), string(deploy.Superseded)},
		"alert.":   {string(monitor.Pending), string(monitor.Firing), string(monitor.Resolved)},
		"status.":  {"running", "scheduled", "finished", "failed", "killed"},
		"level.":   {"error", "warning", "note"},
		"cause.":   causes,
		"test.":    {"passed", "skipped"},
		"kind.":    {string(monitor.Drift), string(monitor.Estimated), string(monitor.Performance)}}
}

// TestMessages holds the catalogue against what pages ask for: no key is
// missing in a language, none is unused, and both languages take the same
// arguments.
func TestMessages(t *testing.T) {
	used := map[string]bool{}
	for prefix, values := range families() {
		for _, v := range values {
			used[prefix+v] = true
		}
	}
	literal := regexp.MustCompile(`"([a-z]+\.[a-z_0-9]+)"`)
	for _, file := range sources(t) {
		for _, m := range literal.FindAllStringSubmatch(file, -1) {
			if _, known := messages[m[1]]; known {
				used[m[1]] = true
			}
		}
		for _, m := range regexp.MustCompile(`\.(?:T|Count|Plural) "([^"]+)"|\.(?:T|Count|Plural)\("([^"]+)"[,)]`).FindAllStringSubmatch(file, -1) {
			used[m[1]+m[2]] = true
		}
	}
	for key := range used {
		text, ok := messages[key]
		if !ok {
			t.Errorf("no message %q", key)
			continue
		}
		if text[0] == "" || text[1] == "" {
			t.Errorf("%q lacks a language", key)
		}
	}
	verb := regexp.MustCompile(`%[a-z]`)
	for key, text := range messages {
		if !used[key] {
			t.Errorf("message %q is used nowhere", key)
		}
		if en, pt := verb.FindAllString(text[0], -1), verb.FindAllString(text[1], -1); !slices.Equal(en, pt) {
			t.Errorf("%q takes %v in English and %v in Portuguese", key, en, pt)
		}
		if strings.Count(text[0], "|") != strings.Count(text[1], "|") {
			t.Errorf("%q has a plural in one language only", key)
		}
	}
}

// sources are the texts of the package's Go files, tests and catalogue left
// out, and of its templates.
func sources(t *testing.T) []string {
	t.Helper()
	var out []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "messages.go" {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	err = fs.WalkDir(templateFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := templateFiles.ReadFile(path)
		out = append(out, string(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTemplatesHaveNoWords finds text that would not be translated: words
// between tags that come from no message.
func TestTemplatesHaveNoWords(t *testing.T) {
	allowed := []string{"lastro", "English", "Português", "Open Inference v2", "MLflow", "CSV", "POST", "KiB", "n", "lock", "II", "&nbsp;"}
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	code := regexp.MustCompile(`(?s)<code.*?</code>|<title>.*?</title>|<!doctype html>`)
	word := regexp.MustCompile(`>([^<>]*\pL{2,}[^<>]*)<`)
	for _, text := range sources(t) {
		if !strings.Contains(text, "{{define") {
			continue
		}
		plain := code.ReplaceAllString(action.ReplaceAllString(text, ""), "")
		for _, m := range word.FindAllStringSubmatch(plain, -1) {
			said := strings.Trim(m[1], " /\n·")
			said = strings.TrimSuffix(strings.TrimSuffix(said, "/v2/models//infer"), "/invocations")
			if !slices.Contains(allowed, strings.TrimSpace(strings.Trim(said, "/ "))) && regexp.MustCompile(`\pL{2,}`).MatchString(said) {
				t.Errorf("text without a message: %q", m[1])
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{English.Int(1240818), "1,240,818"}, {Portuguese.Int(1240818), "1.240.818"}, // CLDR 44
		{English.Num(0.78, 3), "0.780"}, {Portuguese.Num(0.78, 3), "0,780"},
		{Portuguese.Percent(0.125, 1), "12,5 %"}, {Portuguese.Interval(0.51, 0.62, 2), "[0,51; 0,62]"},
		{English.Count("count.requests", 1), "1 request"}, {Portuguese.Count("count.requests", 2000), "2.000 requisições"},
		{English.Span(400 * time.Millisecond), "0.4 s"}, {Portuguese.Span(185 * time.Second), "3 min 05 s"}, {English.Span(130 * time.Minute), "2 h 10 min"},
		{English.Actor("user:ana"), "ana"}, {English.Actor("system:gate"), "lastro gate"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// TestAlertLine draws only what a rule says plainly.
func TestAlertLine(t *testing.T) {
	best, base := 0.673, 0.68
	m := monitor.Measurement{Best: &best, Baseline: &base}
	for rule, want := range map[string]float64{"value.ci_high < best - 0.02": 0.653, "value < baseline": 0.68, "value < 0.6": 0.6, "value > baseline + 5%": 0.73} {
		if got, ok := alertLine(rule)(m); !ok || got-want > 1e-9 || want-got > 1e-9 {
			t.Errorf("%s: %v %v, want %v", rule, got, ok, want)
		}
	}
	for _, rule := range []string{"", "value < best * 0.9", "value < best - 0.02 && value < 0.6", "true"} {
		if got, ok := alertLine(rule)(m); ok {
			t.Errorf("%s: %v, want no line", rule, got)
		}
	}
	if _, ok := alertLine("value < best")(monitor.Measurement{}); ok {
		t.Error("a window without a best one has no line")
	}
}
