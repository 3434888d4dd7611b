// SPDX-License-Identifier: Apache-2.0

package process

import (
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lastro/exec"
)

// nobody is a user without any rights, as Debian numbers it.
const nobody = 65534

// openAsNobody starts a supervisor that is not root, in a house of its own.
func openAsNobody(t *testing.T, env ...string) (house, *Executor) {
	t.Helper()
	setpriv, err := osexec.LookPath("setpriv")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("only root can become another user, by setpriv")
	}
	base, err := os.MkdirTemp("", "lastro-nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	program, control, root := filepath.Join(base, "program"), filepath.Join(base, "run"), filepath.Join(base, "project")
	h := house{root: root, work: filepath.Join(root, ".lastro", "work"), store: filepath.Join(root, ".lastro", "blobs"), tmp: filepath.Join(root, ".lastro", "tmp")}
	for _, dir := range []string{control, h.work, h.store} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(root, "data.csv"), filepath.Join(h.store, "blob")} {
		if err := os.WriteFile(f, []byte("hello\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, os.Args[0], program)
	err = filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	opts := options(control, env...)
	opts.Program = setpriv
	opts.Args = []string{"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", program, control}
	return h, open(t, opts)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNobody: who is not root gets the same sandboxes by user namespaces and
// Landlock. By default Landlock keeps the store; what that costs is that
// nothing new can be made directly in a folder above the store.
func TestNobody(t *testing.T) {
	for _, m := range modes {
		t.Run(m.isolation, func(t *testing.T) {
			h, e := openAsNobody(t, m.env...)
			exit, log := h.run(t, e, h.task("default", strings.ReplaceAll(tries, "try remount", "false && try remount"), exec.Sandbox{ReadOnly: []string{h.store}}))
			if !exit.OK() || exit.Isolation != "landlock" {
				t.Fatalf("%+v\n%s", exit, log)
			}
			wantAnswers(t, log, "work tmp null outside readproject listproject readstore", "project store blob link remove")
			offline := exec.Sandbox{Network: exec.NetworkNone, ReadOnly: []string{h.store}}
			exit, log = h.run(t, e, h.task("offline", tries+"; (exec 3<>/dev/tcp/192.0.2.1/80) || echo net=no", offline))
			if !exit.OK() || exit.Isolation != m.isolation {
				t.Errorf("%+v\n%s", exit, log)
			}
			wantAnswers(t, log, "work tmp null outside readproject readstore", "store blob link remove net")
			box := h.strict()
			box.Network = exec.NetworkNone
			exit, log = h.run(t, e, h.task("strict", tries+"; (exec 3<>/dev/tcp/192.0.2.1/80) || echo net=no", box))
			if !exit.OK() || exit.Isolation != m.isolation {
				t.Fatalf("%+v\n%s", exit, log)
			}
			wantAnswers(t, log, "work tmp null readstore", "outside project readproject listproject store blob link remove remount around device net")
		})
	}
}
