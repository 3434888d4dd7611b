// SPDX-License-Identifier: Apache-2.0

// Package step is the table of step kinds. What a kind does lives in the
// folder of its name; nothing but the table is here.
package step

import (
	"os"

	"lastro/data"
	"lastro/exec"
	"lastro/pipeline"
	"lastro/step/command"
	"lastro/step/compare"
	"lastro/step/fairness"
	"lastro/step/notebook"
	"lastro/step/service"
	"lastro/step/split"
)

// Deps are what the kinds work with.
type Deps struct {
	Exec      exec.Executor
	Data      data.Engine
	Champions compare.Champions
	Datasets  Datasets
	Store     string   // absolute: the blobs, which no step can write
	Hidden    []string // absolute: what a strict step cannot read beside the files of its code
	Beside    []string // this program as it runs the services of a step: service.Program
}

// Datasets knows the project's datasets.
type Datasets interface {
	Dataset(name string) (spec data.Spec, ok bool)
}

// Kinds returns every step kind.
func Kinds(d Deps) []pipeline.Kind {
	run := &command.Kind{Executor: d.Exec, Environ: os.Environ(), Store: d.Store, Hidden: d.Hidden, Services: service.Program(d.Beside)}
	return []pipeline.Kind{
		run,
		&notebook.Kind{Command: run},
		&split.Kind{Engine: d.Data, Datasets: d.Datasets},
		&compare.Kind{Champions: d.Champions, Runner: run},
		&fairness.Kind{Engine: d.Data, Datasets: d.Datasets},
	}
}
