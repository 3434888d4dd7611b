// SPDX-License-Identifier: Apache-2.0

// Package exectest is the contract that every executor passes: Run takes a
// constructor and tries what exec.Executor promises, with real programs.
package exectest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastro"
	"lastro/exec"
)

// Limit is how long one case may take; it only keeps a broken executor from
// hanging the suite. One whose tasks take seconds to start asks for more.
var Limit = 30 * time.Second

// path is where the programs of the cases (sh, sleep, setsid) are.
const path = "PATH=/usr/local/bin:/usr/bin:/bin"

// Run tries an executor. newExecutor makes one whose grace time between asking
// a task to end and ending it is at most a second; Run closes it. Its tasks
// share this machine's files.
func Run(t *testing.T, newExecutor func(t *testing.T) exec.Executor) {
	cases := []struct {
		name string
		try  func(*testing.T, *bench)
	}{
		{"exit status", exitStatus},
		{"signal", signalled},
		{"cannot start", cannotStart},
		{"environment is exact", exactEnvironment},
		{"log is whole", wholeLog},
		{"private directories", privateDirs},
		{"usage", usage},
		{"start twice", startTwice},
		{"wait", waits},
		{"unknown task", unknownTask},
		{"invalid task", invalidTask},
		{"timeout", timeouts},
		{"timeout of a deaf program", deafTimeout},
		{"stop", stops},
		{"grace for children", graceForChildren},
		{"no orphan", noOrphan},
		{"no orphan of a daemon", noDaemon},
		{"list and forget", listAndForget},
		{"many at once", manyAtOnce},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), Limit)
			defer cancel()
			e := newExecutor(t)
			defer e.Close()
			c.try(t, &bench{t: t, ctx: ctx, Executor: e, dir: t.TempDir()})
		})
	}
}

// bench is what a case works with.
type bench struct {
	exec.Executor
	t   *testing.T
	ctx context.Context
	dir string
}

// task makes a task that runs a shell script.
func (b *bench) task(id, script string) exec.Task {
	return exec.Task{ID: id, Argv: []string{"sh", "-c", script}, Env: []string{path}, Dir: b.dir, LogPath: filepath.Join(b.dir, id+".log")}
}

func (b *bench) start(t exec.Task) {
	b.t.Helper()
	if err := b.Start(b.ctx, t); err != nil {
		b.t.Fatalf("Start(%s): %v", t.ID, err)
	}
}

func (b *bench) wait(id string) exec.Exit {
	b.t.Helper()
	e, err := b.Wait(b.ctx, id)
	if err != nil {
		b.t.Fatalf("Wait(%s): %v", id, err)
	}
	return e
}

func (b *bench) run(t exec.Task) exec.Exit {
	b.t.Helper()
	b.start(t)
	return b.wait(t.ID)
}

func (b *bench) log(id string) string {
	b.t.Helper()
	return b.file(id + ".log")
}

func (b *bench) file(name string) string {
	b.t.Helper()
	c, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(c)
}

// await waits until a task has written the file, and returns its text.
func (b *bench) await(name string) string {
	b.t.Helper()
	for b.ctx.Err() == nil {
		if c, err := os.ReadFile(filepath.Join(b.dir, name)); err == nil && bytes.HasSuffix(c, []byte("\n")) {
			return strings.TrimSpace(string(c))
		}
		time.Sleep(2 * time.Millisecond)
	}
	b.t.Fatalf("no task wrote %s", name)
	return ""
}

// beat is shell text by which a process shows for ever that it lives. Process
// ids would say nothing: they may be those of another machine or namespace.
func beat(name string) string { return "while :; do echo x >> " + name + "; sleep 0.01; done" }

// beats reports whether the process of beat(name) writes again within a time.
func (b *bench) beats(name string, within time.Duration) bool {
	b.t.Helper()
	before := b.file(name)
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if b.file(name) != before {
			return true
		}
	}
	return false
}

// gone fails when the process that wrote beat(name) still lives.
func (b *bench) gone(name string) {
	b.t.Helper()
	if b.beats(name, 100*time.Millisecond) {
		b.t.Errorf("the process of %s runs after its task ended", name)
	}
}

// Alive reports whether a process runs: it is there and not a zombie.
func Alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(f) > 0 && f[0] != "Z" && f[0] != "X"
}

func exitStatus(t *testing.T, b *bench) {
	before := time.Now().Add(-time.Second)
	for _, code := range []int{0, 1, 3, 255} {
		e := b.run(b.task(fmt.Sprint("code-", code), fmt.Sprint("exit ", code)))
		if e.Reason != exec.Exited || e.Code != code || e.Signal != 0 || e.OK() != (code == 0) {
			t.Errorf("exit %d gave %+v", code, e)
		}
		if e.Started.Before(before) || e.Ended.Before(e.Started) || e.Ended.After(time.Now().Add(time.Second)) {
			t.Errorf("exit %d: started %s, ended %s", code, e.Started, e.Ended)
		}
	}
}

func signalled(t *testing.T, b *bench) {
	e := b.run(b.task("killed", "kill -9 $$"))
	if e.Reason != exec.Signal || e.Signal != int(syscall.SIGKILL) || e.Code != -1 {
		t.Errorf("kill -9 gave %+v", e)
	}
	e = b.run(b.task("segv", "kill -SEGV $$"))
	if e.Reason != exec.Signal || e.Signal != int(syscall.SIGSEGV) {
		t.Errorf("kill -SEGV gave %+v", e)
	}
}

func cannotStart(t *testing.T, b *bench) {
	noProgram := b.task("no-program", "")
	noProgram.Argv = []string{"no-such-program-here", "x"}
	noFile := b.task("no-file", "")
	noFile.Argv = []string{"./nothing.sh"}
	noDir := b.task("no-dir", "true")
	noDir.Dir = filepath.Join(b.dir, "missing")
	noExec := b.task("no-exec", "")
	noExec.Argv = []string{"./text"}
	if err := os.WriteFile(filepath.Join(b.dir, "text"), []byte("hello\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		task exec.Task
		says string
	}{{noProgram, "no-such-program-here"}, {noFile, "nothing.sh"}, {noDir, "missing"}, {noExec, "text"}} {
		e := b.run(c.task)
		if e.Reason != exec.StartFailed || e.Code != -1 || !strings.Contains(e.Detail, c.says) {
			t.Errorf("%s gave %+v", c.task.ID, e)
		}
	}
}

func exactEnvironment(t *testing.T, b *bench) {
	task := b.task("env", "")
	task.Argv = []string{"env"}
	task.Env = []string{path, "A=1", "B=two words", "C=\xff\xfe"}
	if e := b.run(task); !e.OK() {
		t.Fatalf("%+v", e)
	}
	lines := func(id string) []string {
		got := strings.FieldsFunc(b.log(id), func(r rune) bool { return r == '\n' })
		slices.Sort(got)
		return slices.DeleteFunc(got, func(kv string) bool { return kv == "PWD="+b.dir }) // a sandbox may say where it is
	}
	got := lines("env")
	if want := []string{"A=1", "B=two words", "C=\xff\xfe", path}; !slices.Equal(got, want) {
		t.Errorf("environment %q; want %q", got, want)
	}
	empty := b.task("empty-env", "")
	empty.Argv, empty.Env = []string{"/usr/bin/env"}, nil
	if e := b.run(empty); !e.OK() || len(lines("empty-env")) != 0 {
		t.Errorf("without environment: %+v, %q", e, b.log("empty-env"))
	}
	args := b.task("args", "")
	args.Argv = []string{"sh", "-c", `printf '%s|' "$@"`, "sh", "a b", "", "$(echo no)", "\xff"}
	if e := b.run(args); !e.OK() || b.log("args") != "a b||$(echo no)|\xff|" {
		t.Errorf("arguments arrived as %q", b.log("args"))
	}
}

func wholeLog(t *testing.T, b *bench) {
	script := `
		for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done
		head -c 65536 /dev/zero | tr '\0' x; echo
		printf '\000\377\200 no newline'`
	task := b.task("log", script)
	if e := b.run(task); !e.OK() {
		t.Fatalf("%+v", e)
	}
	want := ""
	for i := 1; i <= 5; i++ {
		want += fmt.Sprintf("out %d\nerr %d\n", i, i)
	}
	want += strings.Repeat("x", 65536) + "\n\x00\xff\x80 no newline"
	if got := b.log("log"); got != want {
		t.Errorf("log has %d bytes, want %d; begins %.100q", len(got), len(want), got)
	}
	fi, err := os.Stat(task.LogPath)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("log mode %v, %v; want 0600", fi.Mode(), err)
	}
	again := b.task("log-2", "echo more")
	again.LogPath = task.LogPath
	if e := b.run(again); !e.OK() || b.log("log") != want+"more\n" {
		t.Errorf("a second task did not append to the log")
	}
}

func privateDirs(t *testing.T, b *bench) {
	task := b.task("dirs", `echo x > "$HOME/a" && echo y > "$TMPDIR/b" && echo z > made`)
	home, tmp := filepath.Join(b.dir, "private", "home"), filepath.Join(b.dir, "private", "tmp")
	task.MakeDirs = []string{home, tmp}
	task.Env = append(task.Env, "HOME="+home, "TMPDIR="+tmp)
	if e := b.run(task); !e.OK() {
		t.Fatalf("%+v: %s", e, b.log("dirs"))
	}
	for file, mode := range map[string]os.FileMode{home: 0o700, tmp: 0o700, home + "/a": 0o600, filepath.Join(b.dir, "made"): 0o600} {
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %o", file, fi.Mode(), err, mode)
		}
	}
}

func usage(t *testing.T, b *bench) {
	// 32 MiB in one string, and a loop that takes more than a few clock ticks.
	e := b.run(b.task("usage", `x=$(head -c 33554432 /dev/zero | tr '\0' x); i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done`))
	if !e.OK() || e.UserCPU+e.SysCPU < 5*time.Millisecond || e.UserCPU > Limit || e.MaxRSS < 32<<20 || e.MaxRSS > 4<<30 {
		t.Errorf("usage %s: user %s, system %s, %d bytes", e, e.UserCPU, e.SysCPU, e.MaxRSS)
	}
}

func startTwice(t *testing.T, b *bench) {
	task := b.task("twice", "echo x >> count; echo ready > up; while [ ! -e go ]; do sleep 0.01; done; exit 7")
	b.start(task)
	b.await("up")
	b.start(task)
	other := task
	other.Argv = []string{"false"}
	b.start(other)
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := b.wait("twice"); e.Code != 7 {
		t.Errorf("%+v", e)
	}
	if e := b.run(task); e.Code != 7 {
		t.Errorf("after its end: %+v", e)
	}
	if got := b.file("count"); got != "x\n" {
		t.Errorf("it ran %d times", strings.Count(got, "x"))
	}
}

func waits(t *testing.T, b *bench) {
	b.start(b.task("slow", "echo up > up; exec sleep 60"))
	b.await("up")
	cause := errors.New("looked elsewhere")
	ctx, cancel := context.WithCancelCause(b.ctx)
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	if _, err := b.Wait(ctx, "slow"); !errors.Is(err, cause) {
		t.Errorf("Wait with an ended ctx: %v", err)
	}
	exits := make(chan exec.Exit, 2)
	for range 2 {
		go func() {
			e, _ := b.Wait(b.ctx, "slow")
			exits <- e
		}()
	}
	if err := b.Stop(b.ctx, "slow", "enough"); err != nil {
		t.Fatal(err)
	}
	first, second := <-exits, <-exits
	if first != second || first.Reason != exec.Cancelled {
		t.Errorf("two waits: %+v and %+v", first, second)
	}
	if again := b.wait("slow"); again != first {
		t.Errorf("a later wait: %+v; first %+v", again, first)
	}
}

func unknownTask(t *testing.T, b *bench) {
	if _, err := b.Wait(b.ctx, "nobody"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Wait: %v", err)
	}
	if err := b.Stop(b.ctx, "nobody", "x"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Stop: %v", err)
	}
	if err := b.Forget(b.ctx, "nobody"); err != nil {
		t.Errorf("Forget: %v", err)
	}
}

func invalidTask(t *testing.T, b *bench) {
	for name, spoil := range map[string]func(*exec.Task){
		"no id":         func(t *exec.Task) { t.ID = "" },
		"no program":    func(t *exec.Task) { t.Argv = nil },
		"relative dir":  func(t *exec.Task) { t.Dir = "." },
		"relative log":  func(t *exec.Task) { t.LogPath = "log" },
		"no log":        func(t *exec.Task) { t.LogPath = "" },
		"NUL":           func(t *exec.Task) { t.Argv = []string{"echo", "a\x00b"} },
		"bad variable":  func(t *exec.Task) { t.Env = []string{"A"} },
		"negative time": func(t *exec.Task) { t.Timeout = -1 },
	} {
		task := b.task("bad", "true")
		spoil(&task)
		if err := b.Start(b.ctx, task); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	odd := b.task("odd", "exit 4")
	odd.ID = "../../etc/" + strings.Repeat("très long\n", 100)
	if e := b.run(odd); e.Code != 4 {
		t.Errorf("odd id: %+v", e)
	}
}

func timeouts(t *testing.T, b *bench) {
	task := b.task("late", "trap 'echo asked; exit 0' TERM; sleep 60 & wait")
	task.Timeout = time.Second // a busy machine must have come to the trap
	e := b.run(task)
	if e.Reason != exec.Timeout || e.OK() {
		t.Errorf("%+v", e)
	}
	if took := e.Ended.Sub(e.Started); took < task.Timeout || took > 10*time.Second {
		t.Errorf("ended after %s", took)
	}
	if b.log("late") != "asked\n" {
		t.Errorf("log %q", b.log("late"))
	}
	early := b.task("early", "exit 0")
	early.Timeout = 20 * time.Second
	if e := b.run(early); !e.OK() {
		t.Errorf("%+v", e)
	}
}

func deafTimeout(t *testing.T, b *bench) {
	task := b.task("deaf", "trap '' TERM; sh -c '"+beat("second")+"' & "+beat("first"))
	task.Timeout = 300 * time.Millisecond
	e := b.run(task)
	if e.Reason != exec.Timeout || e.Signal != int(syscall.SIGKILL) {
		t.Errorf("%+v", e)
	}
	b.gone("first")
	b.gone("second")
}

func stops(t *testing.T, b *bench) {
	b.start(b.task("stopped", "("+beat("first")+") & (echo up > up; sleep 60); sleep 60"))
	b.await("up")
	b.await("first")
	for range 2 { // the second one changes nothing
		if err := b.Stop(b.ctx, "stopped", "ana pressed ctrl-C"); err != nil {
			t.Fatal(err)
		}
	}
	e := b.wait("stopped")
	if e.Reason != exec.Cancelled || e.Detail != "ana pressed ctrl-C" {
		t.Errorf("%+v", e)
	}
	b.gone("first")
	ended := b.run(b.task("ended", "exit 0"))
	if err := b.Stop(b.ctx, "ended", "late"); err != nil {
		t.Fatal(err)
	}
	if again := b.wait("ended"); again != ended {
		t.Errorf("stopped after its end: %+v, was %+v", again, ended)
	}
}

// graceForChildren: the shell dies of SIGTERM at once, but the program that it
// started gets its grace time to save what it has.
func graceForChildren(t *testing.T, b *bench) {
	b.start(b.task("saves", `sh -c 'trap "sleep 0.05; echo saved > saved; exit 0" TERM; echo up > up; while :; do sleep 0.01; done'; echo not reached`))
	b.await("up")
	if err := b.Stop(b.ctx, "saves", "enough"); err != nil {
		t.Fatal(err)
	}
	if e := b.wait("saves"); e.Reason != exec.Cancelled {
		t.Errorf("%+v", e)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "saved")); err != nil {
		t.Errorf("the child was killed before it had saved: %v", err)
	}
}

func noOrphan(t *testing.T, b *bench) {
	e := b.run(b.task("forks", "(trap '' HUP TERM; sh -c '"+beat("left")+"') & while [ ! -s left ]; do sleep 0.01; done; exit 5"))
	if e.Reason != exec.Exited || e.Code != 5 {
		t.Errorf("%+v", e)
	}
	b.gone("left")
}

// noDaemon: a grandchild in a session of its own and without environment,
// while another task of the same kind goes on.
func noDaemon(t *testing.T, b *bench) {
	script := `
		setsid env -i sh -c '(setsid /bin/sh -c "while :; do echo x >> left-$0; /bin/sleep 0.01; done" &) ; exit 0' NAME
		while [ ! -s left-NAME ]; do sleep 0.01; done; while [ ! -e go-NAME ]; do sleep 0.01; done`
	for _, name := range []string{"one", "two"} {
		b.start(b.task(name, strings.ReplaceAll(script, "NAME", name)))
		b.await("left-" + name)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "go-one"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := b.wait("one"); !e.OK() {
		t.Errorf("%+v", e)
	}
	b.gone("left-one")
	if !b.beats("left-two", 5*time.Second) {
		t.Error("the other task's daemon was ended too")
	}
	if err := b.Stop(b.ctx, "two", "enough"); err != nil {
		t.Fatal(err)
	}
	b.wait("two")
	b.gone("left-two")
}

func listAndForget(t *testing.T, b *bench) {
	b.start(b.task("b", "echo up > up; exec sleep 60"))
	b.await("up")
	b.run(b.task("a", "exit 3"))
	all, err := b.List(b.ctx)
	if err != nil || len(all) != 2 || all[0].ID != "a" || all[0].Exit == nil || all[0].Exit.Code != 3 || all[1].ID != "b" || all[1].Exit != nil {
		t.Fatalf("List: %+v, %v", all, err)
	}
	if err := b.Forget(b.ctx, "b"); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("Forget of a running task: %v", err)
	}
	if err := b.Forget(b.ctx, "a"); err != nil {
		t.Errorf("Forget: %v", err)
	}
	if _, err := b.Wait(b.ctx, "a"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Wait after Forget: %v", err)
	}
	if e := b.run(b.task("a", "exit 4")); e.Code != 4 {
		t.Errorf("the ID used again: %+v", e)
	}
	if err := b.Stop(b.ctx, "b", "enough"); err != nil {
		t.Fatal(err)
	}
	b.wait("b")
}

func manyAtOnce(t *testing.T, b *bench) {
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			id := fmt.Sprint("many-", i)
			if err := b.Start(b.ctx, b.task(id, fmt.Sprintf("echo %d; exit %d", i, i))); err != nil {
				t.Errorf("Start(%s): %v", id, err)
				return
			}
			e, err := b.Wait(b.ctx, id)
			if log, _ := os.ReadFile(filepath.Join(b.dir, id+".log")); err != nil || e.Code != i || string(log) != fmt.Sprintln(i) {
				t.Errorf("%s: %+v, %v, log %q", id, e, err, log)
			}
		})
	}
	all.Wait()
}
