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
