// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lastro"
)

// SecretVersions returns the versions of all secrets that the steps name, to
// be asked before anything of a run begins. Names that are not set are one
// problem each (L0370), at the place of the first step that wants them.
func SecretVersions(ctx context.Context, s Secrets, steps []StepSpec) (map[string]int, error) {
	wants := map[string]StepSpec{}
	for _, step := range steps {
		for _, name := range step.Secrets {
			if _, seen := wants[name]; !seen {
				wants[name] = step
			}
		}
	}
	if len(wants) == 0 {
		return nil, nil
	}
	var versions map[string]int
	var err error
	if s != nil {
		if versions, err = s.Versions(ctx, slices.Sorted(maps.Keys(wants))); err != nil {
			return nil, err
		}
	}
	var missing lastro.Problems
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		if _, set := versions[name]; !set {
			missing = append(missing, &lastro.Error{Code: lastro.EInvalid, ID: "L0370", Pos: wants[name].Pos,
				Msg: fmt.Sprintf("step %q asks for the secret %s, which is not set", wants[name].Name, name), Hint: "lastro secret set " + name})
		}
	}
	return versions, missing.OrNil()
}

// addSecrets puts the versions of the secrets that a cell names into its
// ingredients; values are never part of a plan or key (SEMANTICS 11).
func addSecrets(c *PlanCell, versions map[string]int) {
	for _, name := range c.spec.Secrets {
		if v, ok := versions[name]; ok {
			c.ingredients["secret "+name] = fmt.Sprintf("version %d", v)
		}
	}
}

// secretValues are the values that a step gets in its environment. A run of a
// stranger's code gets none.
func secretValues(ctx context.Context, p *Plan, s StepSpec) (map[string]string, error) {
	if p.Options.Untrusted {
		return nil, &lastro.Error{Code: lastro.EFailed, ID: "L0318", Pos: s.Pos, Msg: fmt.Sprintf("step %q names secrets, and a pull request from a fork gets none", s.Name),
			Hint: `leave the step out there: if: event.kind != "pull_request"`}
	}
	return p.shop.Secrets.Values(ctx, s.Secrets)
}
