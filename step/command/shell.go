// SPDX-License-Identifier: Apache-2.0

package command

import (
	"slices"

	"lastro/pipeline"
)

// Environment is the whole environment that the command of a job gets, with
// the values of its secrets, for a person who looks at the same files.
func Environment(j *pipeline.Job, environ []string) []string {
	env := slices.DeleteFunc(environment(j, environ), func(kv string) bool {
		for name := range j.Secrets {
			if len(kv) > len(name) && kv[:len(name)] == name && kv[len(name)] == '=' {
				return true
			}
		}
		return false
	})
	for name, value := range j.Secrets {
		env = append(env, name+"="+value)
	}
	return env
}
