// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastro/store"
)

// The environment that tests on PostgreSQL read.
const (
	// serverVar names a server to use, as a URL; "" = a private one is started.
	serverVar = "LASTRO_TEST_POSTGRES"
	// requireVar, when it is set, makes a missing PostgreSQL a failure; otherwise
	// the tests that need it are skipped.
	requireVar = "LASTRO_TEST_POSTGRES_REQUIRED"
)

// Server is a private PostgreSQL: in a temporary folder, reached through a socket
// there, with no port, ended with this process.
type Server struct {
	dir  string
	cmd  *exec.Cmd
	log  *bytes.Buffer
	dead chan struct{}
}

// errNoPostgres says that PostgreSQL is not installed here.
var errNoPostgres = errors.New("PostgreSQL is not installed (tools/setup.sh installs it)")

// StartServer makes and starts a server. settings are additional lines of its
// configuration, as "name=value".
func StartServer(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(shortTemp(), "lastro-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, log: &bytes.Buffer{}}
	if err := s.start(bin, settings); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start a private PostgreSQL: %w\n%s", err, s.log)
	}
	return s, nil
}

func (s *Server) start(bin string, settings []string) error {
	who, err := unprivileged()
	if err != nil {
		return err
	}
	if who != nil {
		if err := os.Chown(s.dir, int(who.Uid), int(who.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	// Not the order of bytes, so that a query that forgets to ask for it is found.
	err = s.run(who, filepath.Join(bin, "initdb"), "-D", data, "-U", "lastro", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8")
	if err != nil {
		_ = os.RemoveAll(data)
		err = s.run(who, filepath.Join(bin, "initdb"), "-D", data, "-U", "lastro", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
	}
	if err != nil {
		return err
	}
	args := []string{"-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=on", "-c", "shared_buffers=32MB", "-c", "max_connections=200"}
	for _, line := range settings {
		args = append(args, "-c", line)
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.log, s.log
	// The server ends with the thread that started it: the goroutine stays on it.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	started := make(chan error)
	s.dead = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.dead)
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.ready()
}

// ready waits until the server answers.
func (s *Server) ready() error {
	db, err := sql.Open("pgx", s.URL())
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.dead:
			return fmt.Errorf("the server ended: %w", err)
		default:
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func (s *Server) run(who *syscall.Credential, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+s.dir)
	return cmd.Run()
}

// URL is the server's database postgres, as its superuser.
func (s *Server) URL() string {
	return "postgres://lastro@/postgres?host=" + url.QueryEscape(s.dir)
}

// Dir is the folder of the server; its data are in data below it.
func (s *Server) Dir() string { return s.dir }

// PID is the server's first process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the server at once and removes what it kept.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-s.dead:
		case <-time.After(10 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.dead
		}
	}
	_ = os.RemoveAll(s.dir)
}

// binaries finds the folder with initdb and postgres: that of a pg_ctl on PATH,
// else the newest of /usr/lib/postgresql.
func binaries() (string, error) {
	var folders []string
	if p, err := exec.LookPath("pg_ctl"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			folders = append(folders, filepath.Dir(p))
		}
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(installed, func(a, b string) int { return versionOf(b) - versionOf(a) })
	for _, f := range append(folders, installed...) {
		if _, err := os.Stat(filepath.Join(f, "initdb")); err == nil {
			if _, err := os.Stat(filepath.Join(f, "postgres")); err == nil {
				return f, nil
			}
		}
	}
	return "", errNoPostgres
}

func versionOf(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// unprivileged returns whom PostgreSQL runs as: it refuses root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}, nil
	}
	return nil, errors.New("there is no user postgres or nobody to run PostgreSQL as")
}

// shortTemp is a folder in which a socket's path stays below the 107 bytes that
// the kernel takes.
func shortTemp() string {
	if dir := os.TempDir(); len(dir) < 60 {
		return dir
	}
	return "/tmp"
}

// shared is the server of this process's tests.
var shared struct {
	sync.Mutex
	server *Server
	url    string
	err    error
	schema int
}

// Main runs a package's tests and ends the server that they used. A package that
// calls Postgres or Each has: func TestMain(m *testing.M) { storetest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	shared.Lock()
	if shared.server != nil {
		shared.server.Stop()
	}
	os.Exit(code)
}

// Postgres returns the URL of an empty schema of its own on a PostgreSQL that is
// started for the first test of the process, or skips the test where there is none.
func Postgres(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.url == "" && shared.err == nil {
		if shared.url = os.Getenv(serverVar); shared.url == "" {
			if shared.server, shared.err = StartServer(); shared.err == nil {
				shared.url = shared.server.URL()
			}
		}
	}
	if errors.Is(shared.err, errNoPostgres) && os.Getenv(requireVar) == "" {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	shared.schema++
	return schemaOf(t, shared.url, fmt.Sprintf("t%d_%d", os.Getpid(), shared.schema))
}

// schemaOf makes a schema and returns the URL of a session in it.
func schemaOf(t testing.TB, server, name string) string {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// Each runs a test on a new SQLite database and on a new PostgreSQL one.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachTarget(t, func(t *testing.T, target string) {
		db, err := store.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, db)
	})
}

// EachTarget runs a test with what store.Open takes: the path of a SQLite file
// that is not there yet, and the URL of an empty PostgreSQL schema.
func EachTarget(t *testing.T, test func(t *testing.T, target string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "lastro.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}
