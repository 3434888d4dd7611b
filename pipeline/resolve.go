// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"lastro"
)

// maxValue bounds one value of an expression, in bytes: Linux takes at most
// 128 KiB in one argument or environment variable (MAX_ARG_STRLEN).
const maxValue = 120 << 10

// resolve gives a step the values of its expressions for one attempt: in its
// settings, arguments, environment and services, by value; vars are its
// variables, of which a shell reads the rest (SECURITY B6). The scope knows
// the cell, the run and the steps before.
func (s scope) resolve(spec StepSpec) (out StepSpec, vars map[string]string, err error) {
	if spec.With, _, err = expand(spec.With, s); err != nil {
		return spec, nil, err
	}
	spec.Argv = slices.Clone(spec.Argv)
	for i, arg := range spec.Argv {
		if spec.Argv[i], err = s.fill(arg); err != nil {
			return spec, nil, err
		}
	}
	if spec.Env, err = s.fillAll(spec.Env); err != nil {
		return spec, nil, err
	}
	spec.Services = slices.Clone(spec.Services)
	for i := range spec.Services {
		if spec.Services[i].Env, err = s.fillAll(spec.Services[i].Env); err != nil {
			return spec, nil, err
		}
	}
	vars = make(map[string]string, len(spec.Vars))
	for _, v := range spec.Vars {
		if vars[v.Name], err = s.variable(v.Expr); err != nil {
			return spec, nil, err
		}
	}
	return spec, vars, nil
}

// variable is the value of an expression as a program gets it.
func (s scope) variable(expr string) (string, error) {
	v, err := s.lookup(expr)
	if err != nil {
		return "", err
	}
	out := text(v)
	return out, passable(expr, out)
}

// fill replaces the expressions of one text.
func (s scope) fill(template string) (string, error) {
	if !strings.Contains(template, "${{") {
		return template, nil
	}
	x := expander{scope: s, used: map[string]bool{}}
	v, err := x.text(template)
	if err != nil {
		return "", err
	}
	out := text(v)
	return out, passable(strings.TrimSuffix(strings.TrimPrefix(template, "${{ "), " }}"), out)
}

func (s scope) fillAll(env map[string]string) (map[string]string, error) {
	if len(env) == 0 {
		return env, nil
	}
	out := make(map[string]string, len(env))
	for name, template := range env {
		v, err := s.fill(template)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// passable refuses a value that no program can be given.
func passable(expr, value string) error {
	switch {
	case strings.ContainsRune(value, 0):
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0335", Msg: fmt.Sprintf("the value of ${{ %s }} holds a NUL character, which no program can be given", expr), Hint: "write it to a file that the step reads"}
	case len(value) > maxValue:
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0335", Msg: fmt.Sprintf("the value of ${{ %s }} has %d bytes; a program can be given %d at most", expr, len(value), maxValue), Hint: "write it to a file that the step reads"}
	}
	return nil
}
