// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"slices"
	"strings"

	"lastro/pipeline"
)

// reserved are variables that secrets and services must not replace: the step
// would find another machine than it was declared for.
var reserved = []string{"PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "BASH_ENV", "ENV", "IFS"}

// translateSecrets reads the names that steps may ask for.
func (l *loader) translateSecrets() {
	for _, t := range l.file.Secrets.Items {
		switch {
		case !l.variable(t):
		case slices.Contains(reserved, t.Value):
			l.report(t.At, "L0106", fmt.Sprintf("a secret cannot be named %s: that variable has a meaning of its own", t.Value), "such as DB_PASSWORD")
		case slices.Contains(l.project.Secrets, t.Value):
			l.report(t.At, "L0109", fmt.Sprintf("secret %s is given twice", t.Value), "keep one")
		default:
			l.project.Secrets = append(l.project.Secrets, t.Value)
		}
	}
}

// stepSecrets reads which secrets a step gets.
func (l *loader) stepSecrets(n *StepNode, s *pipeline.StepSpec) {
	if n.Secrets.At.Line > 0 && n.Uses.Given() {
		l.report(n.Secrets.At, "L0105", "a built-in step gets no secrets", "commands and notebooks do")
		return
	}
	for _, t := range n.Secrets.Items {
		switch {
		case !slices.Contains(l.project.Secrets, t.Value):
			hint := didYouMean(t.Value, l.project.Secrets)
			if len(l.project.Secrets) == 0 {
				hint = fmt.Sprintf("declare it at the top of the file:  secrets: [%s]", t.Value)
			}
			l.report(t.At, "L0121", fmt.Sprintf("%q is no secret that the file declares", t.Value), hint)
		case slices.Contains(s.Secrets, t.Value):
			l.report(t.At, "L0109", fmt.Sprintf("secret %s is given twice", t.Value), "keep one")
		case taken(s, t.Value):
			l.report(t.At, "L0109", fmt.Sprintf("%s is a variable of env and a secret", t.Value), "keep one of them")
		default:
			s.Secrets = append(s.Secrets, t.Value)
		}
	}
}

// taken reports whether a variable of the step has the name.
func taken(s *pipeline.StepSpec, name string) bool {
	_, env := s.Env[name]
	return env || slices.ContainsFunc(s.Vars, func(v pipeline.Var) bool { return v.Name == name })
}

// services reads the processes that run beside a step.
func (l *loader) services(n *StepNode, s *pipeline.StepSpec, sc scope) {
	if len(n.Services.Entries) > 0 && n.Uses.Given() {
		l.report(n.Services.At, "L0105", "a built-in step has no services beside it", "commands and notebooks do")
		return
	}
	ports := map[int]string{}
	for _, e := range n.Services.Entries {
		v := e.Value
		spec := pipeline.ServiceSpec{Name: e.Key.Value, Port: v.Port.Value}
		l.serviceNames(e.Key, s)
		if other, twice := ports[spec.Port]; twice && spec.Port > 0 {
			l.report(v.Port.At, "L0109", fmt.Sprintf("port %d is that of service %q too", spec.Port, other), "leave one of them out: a free one is chosen")
		}
		ports[spec.Port] = spec.Name
		switch {
		case v.Run.Given() && strings.TrimSpace(v.Run.Value) == "", len(v.Run.Value) > maxCommand:
			l.report(v.Run.At, "L0105", fmt.Sprintf("the command of service %q is empty or too long", spec.Name), "run: ./work/api")
		case v.Run.Given():
			spec.Shell, s.Vars = l.compileShell(v.Run, sc, s.Vars)
		case !l.hasUnsupportedFrom(e.Key.At.Line, v.At.Line):
			l.report(e.Key.At, "L0103", fmt.Sprintf("service %q needs the key %q", spec.Name, "run"), "such as  run: ./work/api")
		}
		spec.Env, s.Vars = l.serviceEnv(v.Env, sc, s.Vars)
		spec.Ready = v.Ready.Value
		if v.Ready.Given() && !strings.HasPrefix(spec.Ready, "/") {
			spec.Ready, s.Vars = l.compileShell(v.Ready, sc, s.Vars)
		} else if hs := holes(spec.Ready); len(hs) > 0 {
			l.unsupported(v.Ready.at(hs[0].start, hs[0].end-hs[0].start), "an expression in the path of ready", "write the path out")
		}
		s.Services = append(s.Services, spec)
	}
}

// serviceNames reports a service whose variables NAME_PORT and NAME_ADDR would
// be somebody else's.
func (l *loader) serviceNames(key Text, s *pipeline.StepSpec) {
	name := strings.ToUpper(strings.ReplaceAll(key.Value, "-", "_"))
	for _, variable := range []string{name + "_PORT", name + "_ADDR"} {
		if taken(s, variable) || slices.Contains(s.Secrets, variable) {
			l.report(key.At, "L0109", fmt.Sprintf("the step finds service %q in %s, which env sets too", key.Value, variable), "rename one of them")
		}
	}
	for _, other := range s.Services {
		if strings.ToUpper(strings.ReplaceAll(other.Name, "-", "_")) == name {
			l.report(key.At, "L0109", fmt.Sprintf("the services %q and %q would both be found in %s_PORT", other.Name, key.Value, name), "rename one of them")
		}
	}
}

// serviceEnv keeps the variables of a service; expressions in them are
// replaced when the step starts.
func (l *loader) serviceEnv(m Map[Text], sc scope, vars []pipeline.Var) (map[string]string, []pipeline.Var) {
	var env map[string]string
	for _, e := range m.Entries {
		if !l.variable(e.Key) {
			continue
		}
		vars = l.template(e.Value, sc, vars)
		if env == nil {
			env = map[string]string{}
		}
		env[e.Key.Value] = e.Value.Value
	}
	return env, vars
}
