// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"

	"lastro"
	"lastro/exec"
	"lastro/exec/process"
	"lastro/pipeline"
)

// hidden is what a strict step cannot read: the project as it lies there, and
// the state with its database, keys and other runs.
func (h *House) hidden() []string {
	out := []string{h.Paths.State}
	if h.Paths.Project != "" {
		out = append(out, h.Paths.Project)
	}
	return out
}

// enforceable refuses a run, before anything happens, whose steps this machine
// cannot keep to what the file or --strict says.
func enforceable(spec pipeline.Spec, strict bool) error {
	for _, s := range spec.Steps {
		box := exec.Sandbox{Strict: strict, Network: exec.Network(s.Network)}
		if strict && box.Network == "" {
			box.Network = exec.NetworkNone
		}
		if !strict && box.Network != exec.NetworkNone {
			continue
		}
		if err := process.Enforces(box); err != nil {
			if e, ok := errors.AsType[*lastro.Error](err); ok {
				e.Pos = s.Pos
			}
			return err
		}
	}
	return nil
}
