// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"lastro/store/storetest"
)

// binary is the lastro that every test runs.
var binary string

func TestMain(m *testing.M) {
	code := build(m)
	storetest.Stop()
	os.Exit(code)
}

// build makes the binary once; LASTRO_BINARY names one that is there already.
func build(m *testing.M) int {
	flag.Parse()
	// Scenarios start processes of their own: two at a time keep two processors busy.
	if err := flag.Set("test.parallel", "2"); err != nil {
		panic(err)
	}
	if binary = os.Getenv("LASTRO_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "lastro-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "lastro")
	if out, err := exec.Command("go", "build", "-o", binary, "lastro/cmd/lastro").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build lastro: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestScripts runs testdata/*.txtar. Beside testscript's own commands there are
//
//	lastro ARGS...          lastro must end with status 0
//	exits N ARGS...         lastro must end with status N
//	json PATH VALUE         the JSON on standard output has VALUE at a.b.0.c; VALUE - means there is something
//	near PATH NUMBER        as json, for a number, to 0.0001
//	lines FILE N            the file has N lines
//	db STATEMENT            a change of the state database behind lastro's back
//	taken VARIABLE          a listening port on 127.0.0.1, its address put into the variable
//	fifo PATH               a named pipe
//
// and the conditions [unreadable] and [notebooks]; $TEST_PYTHON is the folder of
// the tests' Python.
func TestScripts(t *testing.T) { testscript.Run(t, scripts()) }

func scripts() testscript.Params {
	return testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Condition: func(name string) (bool, error) {
			if name == "unreadable" { // modes bind this user
				return os.Geteuid() != 0, nil
			}
			if name == "notebooks" { // the tests' Python can execute them
				return exec.Command(testPython(), "-c", "import nbclient, nbformat, ipykernel").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			for _, kv := range gitIdentity {
				name, value, _ := strings.Cut(kv, "=")
				env.Setenv(name, value)
			}
			env.Setenv("TZ", "UTC")
			env.Setenv("TEST_PYTHON", filepath.Dir(testPython()))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lastro": func(ts *testscript.TestScript, neg bool, args []string) { mustExit(ts, 0, args) },
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if len(args) < 2 {
					ts.Fatalf("usage: exits N ARGS...")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				mustExit(ts, want, args[1:])
			},
			"json":  checkJSON,
			"near":  checkNear,
			"lines": checkLines,
			"db":    changeDatabase,
			"taken": takePort,
			"fifo":  makeFIFO,
		},
	}
}

// testPython is the Python of the tests; make test sets LASTRO_TEST_PYTHON.
func testPython() string {
	if p := os.Getenv("LASTRO_TEST_PYTHON"); p != "" {
		return p
	}
	return "/usr/bin/python3"
}

// gitIdentity lets git commit without a configuration of the user.
var gitIdentity = []string{
	"GIT_AUTHOR_NAME=Author", "GIT_AUTHOR_EMAIL=author@example.com",
	"GIT_COMMITTER_NAME=Author", "GIT_COMMITTER_EMAIL=author@example.com",
	"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
}

func mustExit(ts *testscript.TestScript, want int, args []string) {
	err := ts.Exec(binary, args...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("lastro %s: exit %d, want %d", strings.Join(args, " "), got, want)
	}
}

func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	var doc any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc); err != nil {
		ts.Fatalf("standard output is not one JSON document: %v", err)
	}
	got, ok := at(doc, args[0])
	if text := fmt.Sprint(got); !ok || (args[1] != "-" && text != args[1]) {
		ts.Fatalf("%s is %v, want %s", args[0], got, args[1])
	}
}

func checkNear(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: near PATH NUMBER")
	}
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	want, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	got, _ := at(doc, args[0])
	if x, ok := got.(float64); !ok || math.Abs(x-want) > 1e-4 {
		ts.Fatalf("%s is %v, want %v", args[0], got, want)
	}
}

// at follows a path such as steps.0.state into a JSON document. A key may hold
// dots when the rest of the path spells it out.
func at(doc any, path string) (any, bool) {
	if path == "" {
		return doc, true
	}
	switch v := doc.(type) {
	case map[string]any:
		if found, ok := v[path]; ok {
			return found, true
		}
		key, rest, _ := strings.Cut(path, ".")
		child, ok := v[key]
		if !ok {
			return nil, false
		}
		return at(child, rest)
	case []any:
		key, rest, _ := strings.Cut(path, ".")
		i, err := strconv.Atoi(key)
		if err != nil || i >= len(v) {
			return nil, false
		}
		return at(v[i], rest)
	}
	return nil, false
}

func checkLines(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	if got := strconv.Itoa(strings.Count(ts.ReadFile(args[0]), "\n")); got != args[1] {
		ts.Fatalf("%s has %s lines, want %s", args[0], got, args[1])
	}
}

func changeDatabase(ts *testscript.TestScript, neg bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(".lastro/lastro.db"))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(strings.Join(args, " "))
	ts.Check(err)
}

func takePort(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

func makeFIFO(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}
