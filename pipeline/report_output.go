// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"lastro"
)

// A step hands text to lastro through two files of its scratch folder, named
// in its environment. Both are read once, when the step has ended.
const (
	SummaryVar = "LASTRO_SUMMARY" // Markdown for people
	OutputVar  = "LASTRO_OUTPUT"  // NAME=value lines for later steps
)

// Bounds of the two files, in bytes, and of the number of values; more is a
// clear error.
const (
	MaxSummary   = 1 << 20
	MaxOutput    = 1 << 20
	maxOutValues = 1000
)

// SummaryPath returns the absolute path of $LASTRO_SUMMARY.
func (j *Job) SummaryPath() string { return filepath.Join(j.Scratch, "summary.md") }

// OutputPath returns the absolute path of $LASTRO_OUTPUT.
func (j *Job) OutputPath() string { return filepath.Join(j.Scratch, "output") }

var outName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

// ParseOutput reads what a step wrote to $LASTRO_OUTPUT: lines NAME=value, and
// for a value of several lines
//
//	NAME<<END
//	first
//	second
//	END
//
// with a word of the writer's choice in the place of END. The last value of a
// name counts, empty lines do not. An error carries the line.
func ParseOutput(raw []byte) (map[string]string, error) {
	if len(raw) > MaxOutput {
		return nil, outTrouble(0, fmt.Sprintf("it has %d bytes, and at most %d are read", len(raw), MaxOutput))
	}
	if !utf8.Valid(raw) || strings.ContainsRune(string(raw), 0) {
		return nil, outTrouble(0, "it is no UTF-8 text without NUL")
	}
	lines := strings.Split(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n")
	values := map[string]string{}
	for i := 0; i < len(lines); i++ {
		at, line := i+1, lines[i]
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value := line, ""
		cut := strings.IndexAny(line, "=<")
		switch {
		case cut < 0:
			return nil, outTrouble(at, fmt.Sprintf("%.60q is not NAME=value", line))
		case line[cut] == '=':
			name, value = line[:cut], line[cut+1:]
		default:
			end, ok := strings.CutPrefix(line[cut:], "<<")
			if !ok || end == "" {
				return nil, outTrouble(at, fmt.Sprintf("%.60q is neither NAME=value nor NAME<<END", line))
			}
			name = line[:cut]
			from := i + 1
			for i++; i < len(lines) && lines[i] != end; i++ {
			}
			if i == len(lines) {
				return nil, outTrouble(at, fmt.Sprintf("the value of %.60q has no end: no line after it is %.60q alone", name, end))
			}
			value = strings.Join(lines[from:i], "\n")
		}
		if !outName.MatchString(name) {
			return nil, outTrouble(at, fmt.Sprintf("%.60q is no name: it takes letters, digits and _, does not begin with a digit and has at most 100 of them", name))
		}
		if values[name] = value; len(values) > maxOutValues {
			return nil, outTrouble(at, fmt.Sprintf("there are more than %d values", maxOutValues))
		}
	}
	return values, nil
}

func outTrouble(line int, what string) error {
	return &lastro.Error{Code: lastro.EFailed, Pos: lastro.Pos{Line: line}, Msg: what, Hint: `write one value a line: echo "rows=$n" >> "$` + OutputVar + `"`}
}

// outFacts makes those values that are numbers, true or false facts: values.NAME.
func outFacts(values map[string]string, into map[string]float64) {
	for name, v := range values {
		switch v = strings.TrimSpace(v); v {
		case "true":
			into["values."+name] = 1
		case "false":
			into["values."+name] = 0
		default:
			if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
				into["values."+name] = n
			}
		}
	}
}
