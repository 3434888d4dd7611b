// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
)

// largeMatrix is a step of 10,000 cells, as a person would write it.
func largeMatrix() string {
	var a []string
	for i := range 100 {
		a = append(a, fmt.Sprint(i))
	}
	list := strings.Join(a, ", ")
	return "version: 1\nname: large\nparams: {seed: 1, nested: {rate: 0.1}}\nsteps:\n  train:\n    run: python train.py ${{ matrix.a }} ${{ matrix.b * 2 }} ${{ params.seed }}\n" +
		"    matrix: {a: [" + list + "], b: [" + list + "]}\n    outputs: {model: work/model}\n    metrics: work/m.json\n    select: {best: metrics.auc}\n" +
		"  use: {run: python use.py, inputs: [train.model], outputs: {o: work/o}}\n"
}

// largeFile has n steps, each with an output that the next one reads.
func largeFile(n int) string {
	var out strings.Builder
	out.WriteString("version: 1\nname: large\nsteps:\n")
	for i := range n {
		in := ""
		if i > 0 {
			in = fmt.Sprintf(", inputs: [s%d.o]", i-1)
		}
		fmt.Fprintf(&out, "  s%d: {run: echo x > work/o%d%s, outputs: {o: work/o%d}}\n", i, i, in, i)
	}
	return out.String()
}

// Files as large as are accepted load in a moment and do not fill the memory.
func TestLargeFiles(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"train.py", "use.py"} {
		write(t, dir, f, "")
	}
	for name, text := range map[string]string{"10,000 cells": largeMatrix(), "10,000 steps": largeFile(maxSteps)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		p, err := Parse(dir, []byte(text))
		took := time.Since(start)
		if err != nil {
			t.Errorf("%s (%d bytes): %v", name, len(text), err)
			continue
		}
		cells := 0
		for _, s := range p.Pipeline.Steps {
			cells += len(pipeline.Cells(s))
		}
		runtime.ReadMemStats(&after)
		t.Logf("%s (%d bytes): %v, %d cells, %d MB allocated", name, len(text), took, cells, (after.TotalAlloc-before.TotalAlloc)>>20)
		if cells < 10_000 || took > 10*time.Second { // each takes well under two; a busy machine is not to fail this
			t.Errorf("%s: %d cells in %v", name, cells, took)
		}
	}
	_, err := Parse(dir, []byte(largeFile(maxSteps+1)))
	problems, ok := err.(lastro.Problems)
	if !ok || len(problems) != 1 || problems[0].ID != "L0106" || problems[0].Pos.Line != 4+maxSteps || !strings.Contains(problems[0].Msg, "the file has 10001 steps") {
		t.Errorf("one step too many: %v", err)
	}
}
