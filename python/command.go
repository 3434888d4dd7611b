// SPDX-License-Identifier: Apache-2.0

package python

import (
	"bytes"
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// getenv reads the resolver's environment.
func (r *Resolver) getenv(name string) string {
	if r.Env == nil {
		return os.Getenv(name)
	}
	value := ""
	for _, kv := range r.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

func (r *Resolver) cacheDir() string {
	if r.CacheDir != "" {
		return r.CacheDir
	}
	base := r.getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) { // the XDG specification ignores relative ones
		base = filepath.Join(r.getenv("HOME"), ".cache")
	}
	return filepath.Join(base, "lastro")
}

// foreign are variables that would make pip or Python install or import
// something other than what the lock says.
var foreign = []string{"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT",
	"PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_UPGRADE", "PIP_DRY_RUN", "PIP_NO_COMPILE", "PIP_REQUIRE_VIRTUALENV", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_SYSTEM_PYTHON"}

// toolEnv is the environment of uv and pip: the resolver's own without foreign
// variables. What pip is told about indexes and certificates, uv is told too.
func (r *Resolver) toolEnv() []string {
	base := r.Env
	if base == nil {
		base = os.Environ()
	}
	var env []string
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		skip := false
		for _, f := range foreign {
			skip = skip || name == f
		}
		if !skip {
			env = append(env, kv)
		}
	}
	env = append(env, "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", "PYTHONNOUSERSITE=1", "PYTHONUNBUFFERED=1", "NO_COLOR=1",
		"UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1")
	also := func(uv, pip, sep string) {
		if v := strings.Fields(r.getenv(pip)); r.getenv(uv) == "" && len(v) > 0 {
			env = append(env, uv+"="+strings.Join(v, sep))
		}
	}
	if r.getenv("UV_DEFAULT_INDEX") == "" {
		also("UV_INDEX_URL", "PIP_INDEX_URL", " ")
	}
	also("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", " ")
	also("UV_FIND_LINKS", "PIP_FIND_LINKS", ",")
	also("UV_INSECURE_HOST", "PIP_TRUSTED_HOST", " ")
	also("SSL_CERT_FILE", "PIP_CERT", " ")
	if r.getenv("UV_NATIVE_TLS") == "" && r.getenv("UV_SYSTEM_CERTS") == "" {
		env = append(env, "UV_NATIVE_TLS=1") // the machine's own authorities, as pip is usually told
	}
	return env
}

// uv returns the path of uv, or "".
func (r *Resolver) uv() string {
	if r.Tool == "pip" {
		return ""
	}
	home := r.getenv("HOME")
	for _, dir := range append(filepath.SplitList(r.getenv("PATH")), filepath.Join(home, ".local/bin"), filepath.Join(home, ".cargo/bin")) {
		path := filepath.Join(dir, "uv")
		if fi, err := os.Stat(path); err == nil && filepath.IsAbs(path) && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// say reports progress.
func (r *Resolver) say(line string) {
	if r.Progress != nil {
		r.Progress(line)
	}
}

// command is one call of a tool, which ctx ends with all its children.
type command struct {
	*osexec.Cmd
	r    *Resolver
	tail tail
}

// command prepares a call in dir.
func (r *Resolver) command(ctx context.Context, dir, program string, args ...string) *command {
	c := &command{Cmd: osexec.CommandContext(ctx, program, args...), r: r}
	c.Dir = dir
	c.Env = r.toolEnv()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 2 * time.Second
	return c
}

// holding keeps a file lock held while the tool runs, also when this process
// is killed meanwhile: nobody else builds where the tool still writes.
func (c *command) holding(lock *os.File) *command {
	if lock != nil {
		c.ExtraFiles = []*os.File{lock}
	}
	return c
}

// output returns what the tool writes on stdout.
func (c *command) output() (string, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &c.tail
	err := c.Run()
	return out.String(), err
}

// run runs the tool and passes on each line that it writes.
func (c *command) run() error {
	c.tail.each = func(line string) {
		if c.r.Output != nil {
			c.r.Output(line)
		}
	}
	c.Stdout, c.Stderr = &c.tail, &c.tail
	err := c.Run()
	c.tail.flush()
	return err
}

// tail keeps the last lines written to it and passes each one on.
type tail struct {
	each  func(string)
	mu    sync.Mutex
	part  []byte
	lines []string
}

// tailLines is how many lines of a tool an error shows.
const tailLines = 12

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part = append(t.part, p...)
	for {
		i := bytes.IndexAny(t.part, "\r\n")
		if i < 0 {
			return len(p), nil
		}
		t.line(string(t.part[:i]))
		t.part = t.part[i+1:]
	}
}

func (t *tail) line(s string) {
	if s = strings.TrimRight(s, " \t"); s == "" {
		return
	}
	t.lines = append(t.lines, s)
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
	if t.each != nil {
		t.each(s)
	}
}

func (t *tail) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(string(t.part))
	t.part = nil
}
