// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lastro/pipeline"
)

// How much a step uses and how often it is tried.

var (
	cpuForm    = regexp.MustCompile(`^(\d+(?:\.\d+)?)(m?)$`)
	memoryForm = regexp.MustCompile(`^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)$`)
	memoryUnit = map[string]float64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
)

// Bounds of resources: what a process needs at least, and what no machine has.
const (
	minCPU, maxCPU       = 0.01, 4096.0
	minMemory, maxMemory = 4 << 20, 1 << 50 // bytes
	maxBackoff           = 10 * time.Minute
)

func (l *loader) limits(n *LimitsNode) pipeline.Limits {
	var out pipeline.Limits
	if n == nil {
		return out
	}
	if n.CPU.Given() {
		out.CPU = l.cpu(n.CPU)
	}
	if n.Memory.Given() {
		out.Memory = l.memory(n.Memory)
	}
	return out
}

// cpu reads processors: 2, 0.5 or 500m.
func (l *loader) cpu(t Text) float64 {
	m := cpuForm.FindStringSubmatch(t.Value)
	if m == nil {
		l.report(t.At, "L0106", fmt.Sprintf(`"cpu" cannot be %q`, t.Value), "a number of processors such as 2, 0.5 or 500m")
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if m[2] == "m" {
		v /= 1000
	}
	if err != nil || v < minCPU || v > maxCPU {
		l.report(t.At, "L0106", fmt.Sprintf(`"cpu" cannot be %s`, t.Value), "from 10m, a hundredth of a processor, to 4096")
		return 0
	}
	return v
}

// memory reads bytes: 512Mi, 2Gi, 2G.
func (l *loader) memory(t Text) int64 {
	m := memoryForm.FindStringSubmatch(t.Value)
	if m == nil {
		l.report(t.At, "L0106", fmt.Sprintf(`"memory" cannot be %q`, t.Value), memoryHint(t.Value))
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	v *= memoryUnit[m[2]]
	switch {
	case err != nil || v > maxMemory:
		l.report(t.At, "L0106", fmt.Sprintf(`"memory" cannot be %s: no machine has that much`, t.Value), "such as 512Mi or 2Gi")
		return 0
	case v < minMemory:
		l.report(t.At, "L0106", fmt.Sprintf(`"memory" cannot be %s: no process starts with less than 4Mi`, t.Value), memoryHint(t.Value))
		return 0
	}
	return int64(math.Round(v))
}

// memoryHint names what was probably meant: 2GB and 2g are 2Gi, 2 alone too.
func memoryHint(s string) string {
	digits := strings.TrimRight(s, "kKmMgGtTiIbB")
	unit := strings.ToUpper(strings.TrimPrefix(s, digits))
	if _, err := strconv.ParseFloat(digits, 64); err == nil {
		switch {
		case unit == "" && len(digits) <= 3:
			return fmt.Sprintf("did you mean `%sGi`?", digits)
		case unit != "" && strings.ContainsAny(unit[:1], "KMGT"):
			return fmt.Sprintf("did you mean `%s%si`?", digits, unit[:1])
		}
	}
	return "a number and Ki, Mi, Gi or Ti (or k, M, G, T for powers of ten): 512Mi, 2Gi"
}

// retry reads when another attempt is made.
func (l *loader) retry(n *RetryNode) pipeline.Retry {
	if n == nil {
		return pipeline.Retry{}
	}
	out := pipeline.Retry{Max: n.Max.Value, Backoff: duration(n.Backoff)}
	if n.Max.At.Line == 0 {
		out.Max = 1
	}
	if out.Backoff > maxBackoff {
		l.report(n.Backoff.At, "L0106", fmt.Sprintf(`"backoff" cannot be %s`, n.Backoff.Value), "at most 10m: the wait doubles each time up to there")
	}
	seen := map[string]bool{}
	for _, t := range n.On.Items {
		if seen[t.Value] {
			l.report(t.At, "L0109", fmt.Sprintf("%q is twice under on", t.Value), "keep one")
		}
		seen[t.Value] = true
		out.On = append(out.On, pipeline.RetryReason(t.Value))
	}
	if n.On.At.Line > 0 && len(n.On.Items) == 0 && !l.hasProblemIn(n.On.At.Line) {
		l.report(n.On.At, "L0105", "on names no reason", "lost, oom, timeout or exit:CODE; leave it out for lost alone")
	}
	return out
}

// times reads the timeout and the age of cached results; zero would mean the
// opposite of what stands there.
func (l *loader) times(n *StepNode, s *pipeline.StepSpec) {
	s.Timeout = duration(n.Timeout)
	if n.Timeout.Given() && s.Timeout == 0 && !l.hasProblemIn(n.Timeout.At.Line) {
		l.report(n.Timeout.At, "L0106", `"timeout" cannot be `+n.Timeout.Value, "a time in which the step can end, such as 30m; without timeout it is 24h")
	}
	if n.Cache.On.At.Line > 0 {
		s.Cache = n.Cache.On.Value
	}
	s.MaxAge = duration(n.Cache.MaxAge)
	if n.Cache.MaxAge.Given() && s.MaxAge == 0 && !l.hasProblemIn(n.Cache.MaxAge.At.Line) {
		l.report(n.Cache.MaxAge.At, "L0106", `"max_age" cannot be `+n.Cache.MaxAge.Value, "to run every time write  cache: false")
	}
}
