// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// TestTerminal runs a pipeline with a matrix of 100 cells in a terminal of 80
// columns: the table is drawn over itself, no line of it is wider than the
// terminal, no cell has a line of its own, and the last lines of what runs are
// shown.
func TestTerminal(t *testing.T) {
	t.Parallel()
	var cells []string
	for i := range 100 {
		cells = append(cells, fmt.Sprint(i))
	}
	f := newFolder(t, map[string]string{"lastro.yaml": `version: 1
name: terminal
steps:
  talk: {run: "for i in 1 2 3 4 5 6; do echo an output line $i ` + strings.Repeat("that goes on ", 10) + `; sleep 0.2; done", code: []}
  many: {run: "true", matrix: {n: [` + strings.Join(cells, ", ") + `]}, code: []}
  after: {run: "true", needs: [many, talk], code: []}
`})
	screen := inTerminal(t, f.dir, 80, "run")
	for _, want := range []string{"100 of 100 done", "  ✓ talk      succeeded", "○ after     pending            on ", "talk     │ an output line", "succeeded in"} {
		if !strings.Contains(screen, want) {
			t.Errorf("%q was not shown in\n%s", want, screen)
		}
	}
	if strings.Contains(screen, "many[") {
		t.Error("a cell has a line of its own")
	}
	for line := range strings.SplitSeq(escapes.ReplaceAllString(screen, ""), "\n") {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\r")); n > 79 && !strings.Contains(line, "no commit here") {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
	if n := strings.Count(screen, "\x1b[J"); n < 4 {
		t.Errorf("the table was drawn %d times only", n)
	}
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// inTerminal runs lastro in a pseudo-terminal and returns what it wrote there.
func inTerminal(t *testing.T, dir string, columns uint16, args ...string) string {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	defer terminal.Close()
	fd := int(terminal.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, other, other, other
	cmd.Env = append(os.Environ(), "TERM=xterm", "CI=", "NO_COLOR=")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other.Close()
	out, _ := io.ReadAll(terminal) // ends with EIO once nobody has the other side open
	if err := cmd.Wait(); err != nil {
		t.Errorf("lastro %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
