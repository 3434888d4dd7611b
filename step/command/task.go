// SPDX-License-Identifier: Apache-2.0

package command

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"lastro/exec"
	"lastro/pipeline"
)

// task is the step as an executor carries it out.
func (k *Kind) task(j *pipeline.Job, argv []string) exec.Task {
	limit := j.Step.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	home, tmp := private(j)
	t := exec.Task{ID: j.TaskID, Argv: argv, Env: environment(j, k.Environ), Dir: j.Path(j.Step.Workdir), LogPath: j.LogPath, MakeDirs: []string{home, tmp}, Timeout: limit,
		Limits: exec.Limits{CPU: j.Step.Limits.CPU, Memory: j.Step.Limits.Memory}, Sandbox: k.sandbox(j, argv[0])}
	for _, name := range slices.Sorted(maps.Keys(j.Secrets)) {
		t.Secrets = append(t.Secrets, name+"="+j.Secrets[name])
	}
	return t
}

// sandbox is what a step may read, write and reach (SEMANTICS 12 and 13): by
// default everything but to write into the store; with Strict its workspace
// and scratch folder, what it declared, and tracking.
func (k *Kind) sandbox(j *pipeline.Job, program string) exec.Sandbox {
	box := exec.Sandbox{Strict: j.Strict, Network: exec.Network(j.Step.Network)}
	for _, in := range j.Inputs {
		if in.From != "" {
			box.Binds = append(box.Binds, exec.Bind{From: in.From, To: j.Path(in.Path)})
		}
	}
	// An environment is shared by digest: a step that installs into it would
	// change what others run in, and nobody's cache key would know.
	if env := filepath.Dir(j.Runtime.BinDir); j.Runtime.BinDir != "" && isVenv(env) {
		box.ReadOnly = append(box.ReadOnly, env)
		if j.Strict {
			box.ReadOnly = append(box.ReadOnly, interpreter(j.Runtime.BinDir)...)
		}
	}
	if !j.Strict {
		if k.Store != "" {
			box.ReadOnly = append(box.ReadOnly, k.Store)
		}
		return box
	}
	if box.Network == "" {
		box.Network = exec.NetworkNone
	}
	box.Writable = []string{j.Dir, j.Scratch}
	box.Hidden = append(box.Hidden, k.Hidden...)
	if j.Project != "" {
		box.Hidden = append(box.Hidden, j.Project)
	}
	for _, name := range certificates {
		if p := pairs(k.Environ)[name]; filepath.IsAbs(p) && filepath.Clean(p) != "/" {
			box.ReadOnly = append(box.ReadOnly, filepath.Clean(p))
		}
	}
	if filepath.IsAbs(program) { // lastro itself beside services, wherever it is installed
		box.ReadOnly = append(box.ReadOnly, filepath.Clean(program))
	}
	return box
}

// certificates are variables that are passed on and name files of the machine.
var certificates = []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}

// interpreter returns the folders in which the Python of an environment is
// installed: its bin/python is a link, most often through other links, out of
// the environment.
func interpreter(bin string) []string {
	var out []string
	for at, hops := filepath.Join(bin, "python"), 0; hops < 10; hops++ {
		to, err := os.Readlink(at)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		at = filepath.Clean(to)
		if real, err := filepath.EvalSymlinks(filepath.Dir(at)); err == nil {
			out = append(out, installation(real))
		}
		out = append(out, installation(filepath.Dir(at)))
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(p string) bool { return p == "/" || p == filepath.Dir(bin) })
}

// installation is the folder that a folder of programs is part of.
func installation(bin string) string {
	if filepath.Base(bin) == "bin" {
		return filepath.Dir(bin)
	}
	return bin
}

func isVenv(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}
