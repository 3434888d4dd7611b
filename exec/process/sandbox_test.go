// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro/exec"
	"lastro/exec/exectest"
)

// modes are the ways in which this machine can keep a strict step.
var modes = []struct {
	isolation string
	env       []string
}{
	{"bubblewrap", nil},
	{"landlock", []string{withoutVar + "=bubblewrap"}},
}

// sandboxed is an executor all of whose tasks are kept to s.
type sandboxed struct {
	*Executor
	s exec.Sandbox
}

func (e sandboxed) Start(ctx context.Context, t exec.Task) error {
	t.Sandbox = e.s
	return e.Executor.Start(ctx, t)
}

// TestContractStrict: a strict sandbox changes nothing of the contract.
func TestContractStrict(t *testing.T) {
	for _, m := range modes {
		t.Run(m.isolation, func(t *testing.T) {
			exectest.Run(t, func(t *testing.T) exec.Executor {
				return sandboxed{open(t, options(t.TempDir(), m.env...)), exec.Sandbox{Strict: true, Network: exec.NetworkNone}}
			})
		})
	}
}

// house is a project as a step meets it: its root with a secret file, a
// workspace and a store below it; and somebody's home directory.
type house struct{ root, work, store, tmp, home string }

func newHouse(t *testing.T) house {
	t.Helper()
	root := t.TempDir()
	h := house{root: root, work: filepath.Join(root, ".lastro", "work"), store: filepath.Join(root, ".lastro", "blobs"), tmp: filepath.Join(root, ".lastro", "tmp"), home: t.TempDir()}
	for _, dir := range []string{h.work, h.store} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(root, "data.csv"), filepath.Join(h.home, "key"), filepath.Join(h.store, "blob")} {
		if err := os.WriteFile(f, []byte("hello\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// task runs a script with the places as variables.
func (h house) task(id, script string, box exec.Sandbox) exec.Task {
	t := exec.Task{ID: id, Argv: []string{"bash", "-c", script}, Dir: h.work, LogPath: filepath.Join(h.root, ".lastro", id+".log"), MakeDirs: []string{h.tmp}, Sandbox: box}
	t.Env = []string{"PATH=/usr/bin:/bin", "ROOT=" + h.root, "STORE=" + h.store, "HOME_OF_USER=" + h.home, "TMPDIR=" + h.tmp}
	return t
}

func (h house) strict() exec.Sandbox {
	return exec.Sandbox{Strict: true, Hidden: []string{filepath.Join(h.root, ".lastro"), h.root, filepath.Join(h.root, "nothing")}, ReadOnly: []string{h.store}, Writable: []string{h.work}}
}

func (h house) run(t *testing.T, e exec.Executor, task exec.Task) (exec.Exit, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := e.Start(ctx, task); err != nil {
		t.Fatal(err)
	}
	exit, err := e.Wait(ctx, task.ID)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := os.ReadFile(task.LogPath)
	return exit, string(log)
}

// tries prints one word for each thing that a step may try.
const tries = `
	try() { if (eval "$2") >/dev/null 2>&1; then echo $1=yes; else echo $1=no; fi; }
	try work 'echo x > out && mkdir -p a/b && mv out a/b/c && cat a/b/c'
	try tmp 'echo x > $TMPDIR/x'
	try null 'echo x > /dev/null'
	try home "cat $HOME_OF_USER/key"
	try shadow 'grep . /etc/shadow'
	try programs 'ls /usr/bin/env && cat /etc/passwd'
	try outside 'echo x > /var/tmp/lastro-outside-$$ && rm /var/tmp/lastro-outside-$$'
	try project 'echo x > $ROOT/new'
	try readproject 'cat $ROOT/data.csv'
	try listproject 'ls $ROOT | grep data'
	try readstore 'cat $STORE/blob'
	try store 'echo x > $STORE/new'
	try blob 'echo x >> $STORE/blob'
	try link 'ln $STORE/blob mine && echo x >> mine'
	try remove 'rm -rf $STORE/blob && ! test -e $STORE/blob'
	try remount 'mount -o remount,rw,bind $STORE && echo x >> $STORE/blob'
	try around 'for p in /proc/[0-9]*; do cat $p/root$ROOT/data.csv && exit 0; done; exit 1'
	try device 'dev=$(findmnt -no SOURCE / | grep ^/dev) && head -c 1 "$dev"'
	try signal 'kill -0 '$LASTRO_SUPERVISOR
	true`

func answers(log string) map[string]string {
	got := map[string]string{}
	for line := range strings.Lines(log) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			got[k] = v
		}
	}
	return got
}

func wantAnswers(t *testing.T, log string, yes, no string) {
	t.Helper()
	got := answers(log)
	for want, names := range map[string]string{"yes": yes, "no": no} {
		for name := range strings.FieldsSeq(names) {
			if got[name] != want {
				t.Errorf("%s: %q, want %q", name, got[name], want)
			}
		}
	}
}

func TestStrict(t *testing.T) {
	for _, m := range modes {
		t.Run(m.isolation, func(t *testing.T) {
			h := newHouse(t)
			e := open(t, options(t.TempDir(), m.env...))
			task := h.task("tries", tries, h.strict())
			task.Env = append(task.Env, fmt.Sprint("LASTRO_SUPERVISOR=", e.SupervisorPID()))
			exit, log := h.run(t, e, task)
			if !exit.OK() || exit.Isolation != m.isolation {
				t.Fatalf("%+v\n%s", exit, log)
			}
			wantAnswers(t, log, "work tmp null readstore programs", "home shadow outside project readproject listproject store blob link remove remount around device signal")
		})
	}
}

// TestStoreIsReadOnly: without --strict a step may write where it likes but
// into the store.
func TestStoreIsReadOnly(t *testing.T) {
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	exit, log := h.run(t, e, h.task("tries", strings.ReplaceAll(tries, "try remount", "false && try remount"), exec.Sandbox{ReadOnly: []string{h.store}}))
	if !exit.OK() {
		t.Fatalf("%+v\n%s", exit, log)
	}
	if os.Geteuid() == 0 && exit.Isolation != "mounts" || exit.Isolation == "none" {
		t.Errorf("isolation %q", exit.Isolation)
	}
	wantAnswers(t, log, "work tmp null outside readproject listproject readstore project home programs", "store blob link remove")
}

func TestBinds(t *testing.T) {
	h := newHouse(t)
	e := open(t, options(t.TempDir()))
	to := filepath.Join(h.work, "in.csv")
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	box := exec.Sandbox{Binds: []exec.Bind{{From: filepath.Join(h.store, "blob"), To: to}}}
	exit, log := h.run(t, e, h.task("bind", "cat in.csv; echo x >> in.csv || echo refused; echo y > out; echo z > $ROOT/new; kill -TERM $$", box))
	if exit.Reason != exec.Signal || exit.Signal != 15 || !strings.Contains(log, "hello\n") || !strings.Contains(log, "refused\n") || !exists(filepath.Join(h.root, "new")) || exit.Isolation != "bubblewrap" {
		t.Errorf("%+v\n%s", exit, log)
	}
	if fi, err := os.Stat(to); err != nil || fi.Size() != 0 {
		t.Errorf("the place of the bind: %v, %v", fi, err)
	}
}

// TestNetworkNone: nothing answers but tracking, at the address that it has
// everywhere.
func TestNetworkNone(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go http.Serve(other, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "reached") }))
	for _, m := range modes {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprint(m.isolation, " strict ", strict), func(t *testing.T) {
				h := newHouse(t)
				opts := options(t.TempDir(), m.env...)
				opts.TrackSocket = filepath.Join(opts.Dir, "track.sock")
				e := open(t, opts)
				serveTracking(t, opts.TrackSocket, "tracking")
				box := exec.Sandbox{Network: exec.NetworkNone}
				if strict {
					box = h.strict()
					box.Network = exec.NetworkNone
				}
				task := h.task("net", `
					ask() { exec 3<>/dev/tcp/${1/:/\/} || return; printf 'POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello' >&3; cat <&3; }
					ask $TRACK; (ask $OTHER) || echo other refused
					(exec 3<>/dev/udp/192.0.2.1/53) || echo udp refused; exit 3`, box)
				task.Env = append(task.Env, "TRACK="+strings.TrimPrefix(e.TrackURL(), "http://"), "OTHER="+other.Addr().String())
				exit, log := h.run(t, e, task)
				want := m.isolation
				if want == "landlock" && !strict {
					want = "namespaces"
				}
				if exit.Code != 3 || !strings.Contains(log, "tracking read 5") || strings.Contains(log, "reached") || !strings.Contains(log, "other refused") || !strings.Contains(log, "udp refused") || exit.Isolation != want {
					t.Errorf("%+v\n%s", exit, log)
				}
			})
		}
	}
}

// TestCannotKeep: what a machine cannot keep is refused or said, never forgotten.
func TestCannotKeep(t *testing.T) {
	h := newHouse(t)
	e := open(t, options(t.TempDir(), withoutVar+"=bubblewrap landlock namespaces"))
	for name, box := range map[string]exec.Sandbox{"strict": {Strict: true}, "offline": {Network: exec.NetworkNone}, "binds": {Binds: []exec.Bind{{From: h.store, To: h.work}}}} {
		exit, log := h.run(t, e, h.task(name, "echo ran", box))
		if exit.Reason != exec.StartFailed || !strings.Contains(exit.Detail, "this machine cannot keep") || log != "" {
			t.Errorf("%s: %+v\n%s", name, exit, log)
		}
	}
	exit, _ := h.run(t, e, h.task("store", "true", exec.Sandbox{ReadOnly: []string{h.store}}))
	if !exit.OK() || exit.Isolation != "none" {
		t.Errorf("%+v", exit)
	}
}

// TestOfflineStore: a step off the network is kept from the store like any other.
func TestOfflineStore(t *testing.T) {
	for _, m := range modes {
		h := newHouse(t)
		e := open(t, options(t.TempDir(), m.env...))
		exit, log := h.run(t, e, h.task("offline", "echo x > out; echo x >> $STORE/blob && echo written; true", exec.Sandbox{Network: exec.NetworkNone, ReadOnly: []string{h.store}}))
		if !exit.OK() || strings.Contains(log, "written") || exit.Isolation == "none" {
			t.Errorf("%s: %+v\n%s", m.isolation, exit, log)
		}
	}
}
