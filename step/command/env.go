// SPDX-License-Identifier: Apache-2.0

package command

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lastro/pipeline"
)

// passedOn are the variables of lastro's own environment that a step gets: what
// the machine needs to reach the network and its devices. Nothing else, so that
// a result does not depend on somebody's shell, and no token leaks into it.
var passedOn = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "TZ"}

// systemPath is the PATH when lastro itself has none.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// private are the step's own HOME and TMPDIR.
func private(j *pipeline.Job) (home, tmp string) {
	return filepath.Join(j.Scratch, "home"), filepath.Join(j.Scratch, "tmp")
}

// environment is the whole environment of a step, later lines over earlier
// ones: what is always the same, the machine, the Python environment, tracking,
// the file's env, expressions.
func environment(j *pipeline.Job, environ []string) []string {
	home, tmp := private(j)
	outer := pairs(environ)
	env := map[string]string{
		"HOME": home, "TMPDIR": tmp, "LANG": "C.UTF-8", "SHELL": "/bin/bash",
		"LASTRO_RUN": strconv.FormatInt(j.Run, 10), "LASTRO_STEP": j.Step.Name, "LASTRO_ATTEMPT": strconv.Itoa(j.Attempt),
		"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg",
	}
	if j.Cell > 0 {
		env["LASTRO_CELL"] = strconv.Itoa(j.Cell)
	}
	for _, name := range passedOn {
		if v, ok := outer[name]; ok {
			env[name] = v
		}
	}
	// Tracking is on this machine: it must not go through a proxy.
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		env[name] = strings.TrimPrefix(env[name]+",127.0.0.1,localhost", ",")
	}
	env["PATH"] = outer["PATH"]
	if env["PATH"] == "" {
		env["PATH"] = systemPath
	}
	maps.Copy(env, pairs(j.Runtime.Env))
	if j.Runtime.BinDir != "" {
		env["PATH"] = j.Runtime.BinDir + ":" + env["PATH"]
	}
	maps.Copy(env, pairs(j.Env))
	maps.Copy(env, j.Step.Env)
	maps.Copy(env, j.Vars)
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

func pairs(environ []string) map[string]string {
	m := map[string]string{}
	for _, kv := range environ {
		if name, v, ok := strings.Cut(kv, "="); ok {
			m[name] = v
		}
	}
	return m
}
