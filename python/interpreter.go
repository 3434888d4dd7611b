// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"lastro"
)

// interpreter is a Python that was found on this machine.
type interpreter struct {
	path    string // without symbolic links, so never a virtual environment or a shim
	version string // exact, "3.11.2"
}

// minor returns "3.11" of "3.11.2".
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// matches reports whether an exact version is what was asked for.
func matches(wanted, exact string) bool {
	if wanted == "" {
		return !older(exact, "3.9")
	}
	return exact == wanted || strings.HasPrefix(exact, wanted+".")
}

// older compares versions number by number.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x, y) < 0
}

func numbers(version string) []int {
	var n []int
	for part := range strings.SplitSeq(version, ".") {
		i, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		n = append(n, i)
	}
	return n
}

// candidates lists the files that may be the wanted Python, best first: in
// the order of PATH, where a folder of pyenv's shims stands for the versions
// that pyenv has; then pyenv's and uv's that are not in PATH.
func (r *Resolver) candidates(wanted string) []string {
	names := []string{"python3", "python"}
	if m := minor(wanted); strings.Contains(m, ".") {
		names = append([]string{"python" + m}, names...)
	}
	var found []string
	add := func(path string) {
		fi, err := os.Stat(path)
		if err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
			return
		}
		if real, err := filepath.EvalSymlinks(path); err == nil && !slices.Contains(found, real) {
			found = append(found, real)
		}
	}
	dirs := append(filepath.SplitList(r.getenv("PATH")), "/usr/local/bin", "/usr/bin")
	for _, name := range names {
		for _, dir := range dirs {
			if filepath.Base(dir) == "shims" {
				for _, path := range managed(filepath.Join(filepath.Dir(dir), "versions"), wanted, r.getenv("PYENV_VERSION")) {
					add(path)
				}
				continue
			}
			if filepath.IsAbs(dir) {
				add(filepath.Join(dir, name))
			}
		}
	}
	home := r.getenv("HOME")
	pyenv := r.getenv("PYENV_ROOT")
	if pyenv == "" {
		pyenv = filepath.Join(home, ".pyenv")
	}
	for _, dir := range []string{filepath.Join(pyenv, "versions"), filepath.Join(home, ".local/share/uv/python")} {
		for _, path := range managed(dir, wanted, "") {
			add(path)
		}
	}
	return found
}

// managed lists the interpreters below a folder whose folders name versions,
// "3.11.7" (pyenv) or "cpython-3.11.7-linux-x86_64-gnu" (uv): those that match,
// preferred versions first, then the newest.
func managed(dir, wanted, preferred string) []string {
	entries, _ := os.ReadDir(dir)
	if preferred == "" {
		b, _ := os.ReadFile(filepath.Join(filepath.Dir(dir), "version"))
		preferred = string(b)
	}
	liked := strings.FieldsFunc(preferred, func(c rune) bool { return c == ':' || c == '\n' || c == ' ' })
	type one struct{ version, path string }
	var all []one
	for _, e := range entries {
		version := strings.TrimPrefix(e.Name(), "cpython-")
		version, _, _ = strings.Cut(version, "-")
		if len(numbers(version)) >= 2 && matches(wanted, version) {
			all = append(all, one{version, filepath.Join(dir, e.Name(), "bin", "python3")})
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := slices.Contains(liked, all[i].version), slices.Contains(liked, all[j].version)
		if a != b {
			return a
		}
		return older(all[j].version, all[i].version)
	})
	var paths []string
	for _, o := range all {
		paths = append(paths, o.path)
	}
	return paths
}

// known remembers the version of an interpreter file, so that it is asked once
// and not at every run.
type known struct {
	Size    int64  `json:"size"`
	Changed int64  `json:"changed_ns"`
	Version string `json:"version"` // "" = it is no Python 3
}

func (r *Resolver) knownFile() string { return filepath.Join(r.cacheDir(), "pythons.json") }

func (r *Resolver) readKnown() map[string]known {
	all := map[string]known{}
	if b, err := os.ReadFile(r.knownFile()); err == nil && json.Unmarshal(b, &all) != nil {
		all = map[string]known{}
	}
	return all
}

// recall returns the version of a file; ok is false when it must be asked.
func recall(all map[string]known, path string) (version string, ok bool) {
	k, found := all[path]
	fi, err := os.Stat(path)
	return k.Version, found && err == nil && fi.Size() == k.Size && fi.ModTime().UnixNano() == k.Changed
}

// quickFind finds an interpreter without starting a process; nil means that
// one would have to be asked, or that there is none.
func (r *Resolver) quickFind(wanted string) *interpreter {
	all := r.readKnown()
	for _, path := range r.candidates(wanted) {
		version, ok := recall(all, path)
		if !ok {
			return nil
		}
		if version != "" && matches(wanted, version) {
			return &interpreter{path, version}
		}
	}
	return nil
}

// find finds an interpreter, asking those that are not known yet.
func (r *Resolver) find(ctx context.Context, wanted string) (*interpreter, error) {
	all := r.readKnown()
	var seen []interpreter
	for _, path := range r.candidates(wanted) {
		version, ok := recall(all, path)
		if !ok {
			version = r.ask(ctx, path)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			r.remember(all, path, version)
		}
		if version == "" {
			continue
		}
		if matches(wanted, version) {
			return &interpreter{path, version}, nil
		}
		seen = append(seen, interpreter{path, version})
	}
	return nil, noPython(wanted, seen)
}

// ask returns the exact version of an interpreter, "" when it is none.
func (r *Resolver) ask(ctx context.Context, path string) string {
	out, err := r.command(ctx, "", path, "-I", "-S", "-c", "import platform; print(platform.python_version())").output()
	version := strings.TrimSpace(out)
	if err != nil || len(numbers(version)) < 2 || older(version, "3") {
		return ""
	}
	return version
}

func (r *Resolver) remember(all map[string]known, path, version string) {
	fi, err := os.Stat(path)
	if err != nil {
		return
	}
	all[path] = known{fi.Size(), fi.ModTime().UnixNano(), version}
	b, err := json.MarshalIndent(all, "", " ")
	if err == nil && os.MkdirAll(r.cacheDir(), 0o700) == nil {
		_ = writeFile(r.knownFile(), b, 0o600) // only a memory
	}
}

func noPython(wanted string, seen []interpreter) error {
	if wanted == "" {
		wanted = "3"
	}
	e := &lastro.Error{Code: lastro.EInvalid, ID: "L0460", Msg: fmt.Sprintf("there is no Python %s on this machine", wanted)}
	for _, i := range seen {
		e.Notes = append(e.Notes, fmt.Sprintf("found: %s  %s", i.version, i.path))
	}
	e.Hint = fmt.Sprintf("install it (apt install python%[1]s python%[1]s-venv, or pyenv install %[1]s)", minor(wanted))
	if len(seen) > 0 {
		e.Hint += fmt.Sprintf(", or write python: %q in lastro.yaml", minor(seen[0].version))
	}
	return e
}
