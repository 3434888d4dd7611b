// SPDX-License-Identifier: Apache-2.0

package python

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro"
)

// wheel writes a small package into dir and returns the hash that a lock must
// pin: the index of these tests is a folder, so they need no network.
func wheel(t *testing.T, dir, name, version string, needs ...string) string {
	t.Helper()
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", strings.ReplaceAll(name, "_", "-"), version)
	for _, n := range needs {
		meta += "Requires-Dist: " + n + "\n"
	}
	files := []struct{ name, text string }{
		{name + ".py", fmt.Sprintf("version = %q\n", version)},
		{info + "METADATA", meta},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
	record := ""
	for _, f := range files {
		sum := sha256.Sum256([]byte(f.text))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.text))
	}
	files = append(files, struct{ name, text string }{info + "RECORD", record + info + "RECORD,,\n"})

	path := filepath.Join(dir, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version))
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(out)
	for _, f := range files {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = w.Write([]byte(f.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return lastro.DigestOf(b).Hex()
}

// world is a project, an index of its own and a cache of its own.
type world struct {
	*Resolver
	Wanted
	links string
	mu    sync.Mutex
	lines []string
}

func newWorld(t *testing.T, tool string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{links: filepath.Join(dir, "links")}
	if err := os.Mkdir(w.links, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Resolver = &Resolver{
		CacheDir: filepath.Join(dir, "cache"),
		Tool:     tool,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "PIP_NO_INDEX=1", "PIP_FIND_LINKS=" + w.links,
			"PYTHONPATH=/nowhere", "PIP_TARGET=/nowhere"},
		Progress: func(line string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lines = append(w.lines, line)
		},
	}
	w.Wanted = Wanted{Requirements: filepath.Join(dir, "requirements.txt"), Lock: filepath.Join(dir, "lastro.lock"), Version: "3.11"}
	return w
}

func (w *world) require(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(w.Requirements, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// progress returns and forgets what was said.
func (w *world) progress() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.lines = nil }()
	return strings.Join(w.lines, "\n")
}

func python(t *testing.T, env *Env, code string) string {
	t.Helper()
	cmd := osexec.Command(env.Python, "-c", code)
	cmd.Env = env.Vars()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("python -c %q: %v\n%s", code, err, out)
	}
	return strings.TrimSpace(string(out))
}

func needTool(t *testing.T, tool string) {
	t.Helper()
	if tool == "uv" && (&Resolver{}).uv() == "" {
		t.Skip("uv is not installed")
	}
	if (&Resolver{CacheDir: t.TempDir()}).candidates("3.11") == nil {
		t.Skip("Python 3.11 is not installed")
	}
}

// TestEnsure goes through the life of a project's environment with each tool.
func TestEnsure(t *testing.T) {
	for _, tool := range []string{"uv", "pip"} {
		t.Run(tool, func(t *testing.T) {
			needTool(t, tool)
			t.Parallel()
			w := newWorld(t, tool)
			alpha := wheel(t, w.links, "alpha_one", "1.5", "beta>=2")
			wheel(t, w.links, "beta", "1.0")
			beta := wheel(t, w.links, "beta", "2.1")
			w.require(t, "Alpha.One  # ours\n")
			first := lockAndBuild(t, w, alpha, beta)
			quickTheSecondTime(t, w, first)
			rebuildIncomplete(t, w, first)
			refuseUnknown(t, w)
			oneBuildsForAll(t, w, first)
		})
	}
}

func lockAndBuild(t *testing.T, w *world, alpha, beta string) *Env {
	env, err := w.Ensure(t.Context(), w.Wanted)
	if err != nil {
		t.Fatalf("%v\n%+v", err, err)
	}
	lock, err := os.ReadFile(w.Lock)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"alpha-one==1.5 \\\n    --hash=sha256:" + alpha, "beta==2.1 \\\n    --hash=sha256:" + beta, "# python: 3.11\n", "# platform: linux/"} {
		if !strings.Contains(string(lock), want) {
			t.Errorf("lock lacks %q:\n%s", want, lock)
		}
	}
	if strings.Contains(string(lock), filepath.Dir(w.Lock)) {
		t.Errorf("the lock names a folder of this machine:\n%s", lock)
	}
	if got := python(t, env, "import alpha_one, beta, sys; print(alpha_one.version, beta.version, sys.prefix)"); got != "1.5 2.1 "+env.Dir {
		t.Errorf("the environment answers %q", got)
	}
	if got := python(t, env, "import platform; print(platform.python_version())"); got != env.Exact || minor(got) != "3.11" {
		t.Errorf("version %s; Exact is %s", got, env.Exact)
	}
	if env.Pins != 2 || env.Lock != lastro.DigestOf(lock) || env.BinDir != filepath.Join(env.Dir, "bin") {
		t.Errorf("%+v", env)
	}
	if pyc, _ := filepath.Glob(filepath.Join(env.Dir, "lib/python3.11/site-packages/__pycache__/alpha_one.*.pyc")); len(pyc) != 1 {
		t.Error("byte code was not written")
	}
	if said := w.progress(); !strings.Contains(said, "lastro.lock pins 2 packages") || !strings.Contains(said, "(2 packages)") {
		t.Errorf("progress was %q", said)
	}
	return env
}

func quickTheSecondTime(t *testing.T, w *world, first *Env) {
	plan, err := w.Find(w.Wanted)
	if err != nil || !plan.Locked || !plan.Built || *plan.Env != *first {
		t.Errorf("Find: %+v, %v", plan, err)
	}
	again, err := w.Ensure(t.Context(), w.Wanted)
	if err != nil || *again != *first || w.progress() != "" {
		t.Errorf("Ensure again: %+v, %v", again, err)
	}
	if env, ok := w.ByDigest(first.Digest); !ok || *env != *first {
		t.Errorf("ByDigest: %+v, %v", env, ok)
	}
	if _, ok := w.ByDigest(lastro.DigestOf(nil)); ok {
		t.Error("ByDigest finds an environment that was never built")
	}
	anyVersion := w.Wanted
	anyVersion.Version = ""
	if plan, err := w.Find(anyVersion); err != nil || !plan.Built || *plan.Env != *first {
		t.Errorf("without a version: %+v, %v; want that of the lock", plan, err)
	}
	w.require(t, "alpha-one\n# another comment\n")
	if plan, err := w.Find(w.Wanted); err != nil || plan.Locked {
		t.Errorf("other requirements: %+v, %v", plan, err)
	}
	w.require(t, "Alpha.One  # ours\n")
}

func rebuildIncomplete(t *testing.T, w *world, first *Env) {
	if err := os.Remove(filepath.Join(first.Dir, completeFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(first.Dir, "left-over"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(w.Lock)
	env, err := w.Ensure(t.Context(), w.Wanted)
	if err != nil || *env != *first || exists(filepath.Join(first.Dir, "left-over")) {
		t.Errorf("rebuilt: %+v, %v", env, err)
	}
	if after, _ := os.ReadFile(w.Lock); string(after) != string(before) {
		t.Error("the lock was written again")
	}
	w.progress()
}

func refuseUnknown(t *testing.T, w *world) {
	before, _ := os.ReadFile(w.Lock)
	w.require(t, "alpha-one\nno-such-package-here==3\n")
	_, err := w.Ensure(t.Context(), w.Wanted)
	e, ok := errors.AsType[*lastro.Error](err)
	if !ok || e.Code != lastro.EInvalid || e.Pos.File != w.Requirements || !strings.Contains(strings.Join(e.Notes, " "), "no-such-package-here") {
		t.Errorf("unknown package: %#v", err)
	}
	if after, _ := os.ReadFile(w.Lock); string(after) != string(before) {
		t.Error("a failed attempt changed the lock")
	}
	w.require(t, "Alpha.One  # ours\n")
	w.progress()
}

func oneBuildsForAll(t *testing.T, w *world, first *Env) {
	wheel(t, w.links, "gamma", "1.0")
	w.require(t, "gamma\n")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if env, err := w.Ensure(t.Context(), w.Wanted); err != nil || env.Dir == first.Dir {
				t.Errorf("%+v, %v", env, err)
			}
		})
	}
	all.Wait()
	said := w.progress()
	if strings.Count(said, "building a Python") != 1 || strings.Count(said, "pinning ") != 1 {
		t.Errorf("four at once said:\n%s", said)
	}
}

func TestNoRequirements(t *testing.T) {
	needTool(t, "pip")
	tool := ""
	w := newWorld(t, tool)
	env, err := w.Ensure(t.Context(), w.Wanted)
	if err != nil || env.Pins != 0 || exists(w.Lock) {
		t.Fatalf("%+v, %v; lock written: %v", env, err, exists(w.Lock))
	}
	python(t, env, "print(1)")
	if plan, err := w.Find(w.Wanted); err != nil || !plan.Built {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestNoSuchPython(t *testing.T) {
	w := newWorld(t, "")
	w.Version = "3.99"
	w.require(t, "alpha\n")
	_, err := w.Ensure(t.Context(), w.Wanted)
	e, ok := errors.AsType[*lastro.Error](err)
	if !ok || e.Code != lastro.EInvalid || e.Msg != "there is no Python 3.99 on this machine" || !strings.Contains(e.Hint, "python3.99-venv") {
		t.Errorf("%#v", err)
	}
	if len(e.Notes) == 0 || !strings.HasPrefix(e.Notes[0], "found: 3.") {
		t.Errorf("it does not say what is there: %q", e.Notes)
	}
}

func TestCancelled(t *testing.T) {
	needTool(t, "pip")
	w := newWorld(t, "pip")
	w.require(t, "alpha\n")
	cause := errors.New("ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
	began := time.Now()
	if _, err := w.Ensure(ctx, w.Wanted); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	if exists(w.Lock) {
		t.Error("a lock was written")
	}
}

// TestToolHoldsLock: when lastro is killed while a tool writes, the next one
// waits for the tool.
func TestToolHoldsLock(t *testing.T) {
	w := newWorld(t, "")
	lock, err := w.hold(t.Context(), "env", "busy")
	if err != nil {
		t.Fatal(err)
	}
	tool := w.command(t.Context(), "/", "sleep", "0.5").holding(lock)
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	lock.Close() // as the end of the process would
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := w.hold(ctx, "env", "busy"); err == nil || err.Error() != "enough" {
		t.Errorf("ctx ended while waiting: %v", err)
	}
	next, err := w.hold(t.Context(), "env", "busy")
	if err != nil || time.Since(began) < 300*time.Millisecond || w.progress() != "busy; waiting for it\nbusy; waiting for it" {
		t.Errorf("held after %s, %v", time.Since(began), err)
	}
	next.Close()
	if err := tool.Wait(); err != nil {
		t.Error(err)
	}
}

func TestOwnLock(t *testing.T) {
	w := newWorld(t, "")
	w.Own = true
	if _, err := w.Ensure(t.Context(), w.Wanted); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a lock that is not there: %v", err)
	}
	w.Lock = filepath.Join(filepath.Dir(w.Lock), "uv.lock")
	if err := os.WriteFile(w.Lock, []byte("version = 1\n[[package]]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Find(w.Wanted); !lastro.Is(err, lastro.EUnsupported) {
		t.Errorf("uv's own format: %v", err)
	}
}

// BenchmarkFind is the cost of a project whose environment is there.
func BenchmarkFind(b *testing.B) {
	dir := b.TempDir()
	r := &Resolver{CacheDir: dir}
	w := Wanted{Requirements: filepath.Join(dir, "none.txt"), Lock: filepath.Join(dir, "lastro.lock"), Version: "3.11"}
	if _, err := r.Ensure(b.Context(), w); err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if plan, err := r.Find(w); err != nil || !plan.Built {
			b.Fatal(plan, err)
		}
	}
}
