// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastro"
	"lastro/exec"
	"lastro/exec/exectest"
)

func shell(dir, id, script string) exec.Task {
	return exec.Task{ID: id, Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: dir, LogPath: filepath.Join(dir, id+".log")}
}

// untidy is a step that leaves a child, and a daemon with no environment in a
// session of its own; it writes three process ids.
const untidy = `
	echo $$ > first
	sh -c 'echo $$ > second; exec sleep 300' &
	setsid env -i sh -c '(/bin/sh -c "echo \$\$ > third; exec /bin/sleep 300" &) ; exit 0'
	while [ ! -s second ] || [ ! -s third ]; do sleep 0.01; done
	echo up > up; sleep 300; echo not reached`

// playEngine starts three tasks, says so, and waits to be killed.
func playEngine(dir, work string) error {
	ctx := context.Background()
	e, err := Open(ctx, options(dir))
	if err != nil {
		return err
	}
	for _, t := range []exec.Task{
		shell(work, "ended", "exit 7"),
		shell(work, "running", "echo x >> count; while [ ! -e go ]; do sleep 0.01; done; exit 6"),
		shell(work, "untidy", untidy),
	} {
		if err := e.Start(ctx, t); err != nil {
			return err
		}
	}
	if _, err := e.Wait(ctx, "ended"); err != nil {
		return err
	}
	fmt.Println(e.TrackURL(), e.SupervisorPID())
	time.Sleep(time.Minute)
	return nil
}

// startEngine starts an engine process and returns it with what it said.
func startEngine(t *testing.T, dir, work string) (cmd *osexec.Cmd, trackURL string, supervisor int) {
	t.Helper()
	cmd = osexec.CommandContext(t.Context(), os.Args[0], dir, work)
	cmd.Env = []string{roleVar + "=engine"}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the engine said nothing: %v", err)
	}
	if _, err := fmt.Sscan(line, &trackURL, &supervisor); err != nil {
		t.Fatalf("the engine said %q", line)
	}
	return cmd, trackURL, supervisor
}

func kill9(t *testing.T, cmd *osexec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says that it was killed
}

// await polls, for what other processes do by themselves.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in 10 s this did not happen: %s", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func pidIn(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// untidyGone waits until nothing of the untidy step runs.
func untidyGone(t *testing.T, work string) {
	t.Helper()
	for _, name := range []string{"first", "second", "third"} {
		pid := pidIn(t, filepath.Join(work, name))
		await(t, fmt.Sprintf("the %s process ends", name), func() bool { return !exectest.Alive(pid) })
	}
}

func wantExit(t *testing.T, e exec.Executor, id string, reason exec.Reason, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := e.Wait(ctx, id)
	if err != nil || got.Reason != reason || got.Code != code {
		t.Errorf("Wait(%s): %+v, %v; want %s, code %d", id, got, err, reason, code)
	}
}

func TestEngineKilled(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	engine, trackURL, supervisor := startEngine(t, dir, work)
	await(t, "the untidy step is up", func() bool { return exists(filepath.Join(work, "up")) })
	kill9(t, engine)

	e := open(t, options(dir))
	if e.SupervisorPID() != supervisor || e.TrackURL() != trackURL {
		t.Errorf("came back to supervisor %d at %s; it was %d at %s", e.SupervisorPID(), e.TrackURL(), supervisor, trackURL)
	}
	wantExit(t, e, "ended", exec.Exited, 7)
	again := shell(work, "running", "exit 1")
	if err := e.Start(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "running", exec.Exited, 6)
	if count, _ := os.ReadFile(filepath.Join(work, "count")); string(count) != "x\n" {
		t.Errorf("the step ran again: %q", count)
	}
	if err := e.Stop(t.Context(), "untidy", "enough"); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "untidy", exec.Cancelled, -1)
	untidyGone(t, work)
}

func TestSupervisorKilled(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	e := open(t, options(dir))
	if err := e.Start(t.Context(), shell(work, "ended", "exit 7")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "ended", exec.Exited, 7)
	if err := e.Start(t.Context(), shell(work, "untidy", untidy)); err != nil {
		t.Fatal(err)
	}
	await(t, "the step is up", func() bool { return exists(filepath.Join(work, "up")) })
	first := e.SupervisorPID()
	time.AfterFunc(20*time.Millisecond, func() { _ = syscall.Kill(first, syscall.SIGKILL) })
	wantExit(t, e, "untidy", exec.Lost, -1)
	untidyGone(t, work)

	if e.SupervisorPID() == first {
		t.Error("no other supervisor was started")
	}
	if err := e.Start(t.Context(), shell(work, "untidy", "exit 0")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "untidy", exec.Lost, -1)
	wantExit(t, e, "ended", exec.Exited, 7)
	if err := e.Start(t.Context(), shell(work, "next", "exit 3")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "next", exec.Exited, 3)
}

// TestBothKilled: the first process of a step ends at once, with
// no engine there to notice that the supervisor is dead.
func TestBothKilled(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	engine, _, supervisor := startEngine(t, dir, work)
	await(t, "the untidy step is up", func() bool { return exists(filepath.Join(work, "up")) })
	kill9(t, engine)
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first := pidIn(t, filepath.Join(work, "first"))
	await(t, "the first process dies with the supervisor", func() bool { return !exectest.Alive(first) })

	e := open(t, options(dir))
	untidyGone(t, work)
	wantExit(t, e, "ended", exec.Exited, 7)
	wantExit(t, e, "running", exec.Lost, -1)
	wantExit(t, e, "untidy", exec.Lost, -1)
}

func TestSupervisorAskedToEnd(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	e := open(t, options(dir))
	if err := e.Start(t.Context(), shell(work, "step", "trap 'echo saved; exit 0' TERM; echo up > up; while :; do sleep 0.01; done")); err != nil {
		t.Fatal(err)
	}
	await(t, "the step is up", func() bool { return exists(filepath.Join(work, "up")) })
	if err := syscall.Kill(e.SupervisorPID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "step", exec.Lost, 0)
	if log, _ := os.ReadFile(filepath.Join(work, "step.log")); !strings.HasSuffix(string(log), "saved\n") {
		t.Errorf("the step could not save: %q", log)
	}
}

func TestIdleSupervisorEnds(t *testing.T) {
	dir := t.TempDir()
	e := open(t, options(dir))
	pid := e.SupervisorPID()
	time.Sleep(1200 * time.Millisecond) // more than IdleAfter: an engine keeps it
	if !exectest.Alive(pid) {
		t.Fatal("the supervisor ended although an engine was there")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the supervisor ends", func() bool { return !exectest.Alive(pid) })
	if exists(filepath.Join(dir, socketFile)) {
		t.Error("it left its socket")
	}
	if e := open(t, options(dir)); e.SupervisorPID() == pid {
		t.Error("the same process came back")
	}
	if _, err := e.List(t.Context()); err == nil {
		t.Error("a closed executor answers")
	}
}

func TestOrphanIsStopped(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	opts := options(dir, "LASTRO_TEST_ORPHAN=300ms")
	e := open(t, opts)
	if err := e.Start(t.Context(), shell(work, "untidy", untidy)); err != nil {
		t.Fatal(err)
	}
	await(t, "the step is up", func() bool { return exists(filepath.Join(work, "up")) })
	e.Close()
	untidyGone(t, work)
	wantExit(t, open(t, opts), "untidy", exec.Lost, -1)
}

func TestOneSupervisorForMany(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	pids := make([]int, 8)
	for i := range pids {
		all.Go(func() {
			e, err := Open(t.Context(), options(dir))
			if err != nil {
				t.Error(err)
				return
			}
			defer e.Close()
			pids[i] = e.SupervisorPID()
		})
	}
	all.Wait()
	for _, pid := range pids {
		if pid != pids[0] {
			t.Fatalf("supervisors %v; want one", pids)
		}
	}
}

func TestDeepDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 60), "run")
	work := t.TempDir()
	e := open(t, options(dir))
	if err := e.Start(t.Context(), shell(work, "step", "exit 2")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e, "step", exec.Exited, 2)
	for name, want := range map[string]fs.FileMode{"": 0o700, recordFile: 0o600, socketFile: 0o600, logFile: 0o600} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %o", name, fi.Mode(), err, want)
		}
	}
}

func TestSupervisorThatCannotStart(t *testing.T) {
	opts := options(t.TempDir())
	opts.Program = "/no/such/lastro"
	if _, err := Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "/no/such/lastro") {
		t.Errorf("no program: %v", err)
	}
	opts.Program = "/bin/false"
	if _, err := Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), logFile) {
		t.Errorf("a program that ends: %v", err)
	}
	if _, err := Open(t.Context(), Options{Dir: "run"}); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a relative directory: %v", err)
	}
}

// TestOtherVersion: an engine of another protocol is told who it met.
func TestOtherVersion(t *testing.T) {
	dir := t.TempDir()
	e := open(t, options(dir))
	conn, err := DialUnix(t.Context(), filepath.Join(dir, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := newPeer(conn)
	if err := p.send(request{Op: opHello, Hello: &hello{Protocol: protocol + 1}}); err != nil {
		t.Fatal(err)
	}
	var rep reply
	if err := p.receive(&rep); err != nil || rep.Hello.Protocol != protocol || rep.Hello.PID != e.SupervisorPID() {
		t.Errorf("%+v, %v", rep.Hello, err)
	}
	if err := p.receive(&rep); err == nil {
		t.Error("the supervisor goes on talking")
	}
}

// TestRecordNotWritten: who waits learns the truth even when the record cannot
// be written.
func TestRecordNotWritten(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	e := open(t, options(dir))
	if err := e.Start(t.Context(), shell(work, "step", "echo up > up; while [ ! -e go ]; do sleep 0.01; done; exit 9")); err != nil {
		t.Fatal(err)
	}
	await(t, "the step is up", func() bool { return exists(filepath.Join(work, "up")) })
	// As root, modes would not stop it; a limit on the size of its files does.
	none := unix.Rlimit{}
	if err := unix.Prlimit(e.SupervisorPID(), unix.RLIMIT_FSIZE, &none, nil); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = os.WriteFile(filepath.Join(work, "go"), nil, 0o600) })
	wantExit(t, e, "step", exec.Exited, 9)
	wantExit(t, e, "step", exec.Lost, -1)
}
