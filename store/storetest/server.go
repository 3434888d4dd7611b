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
	"syscall"
	"time"
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

// killBackend kills -9 one of the server's processes that serve a client; the
// server then ends the others and recovers from its log.
func (s *Server) killBackend() error {
	db, err := sql.Open("pgx", s.URL())
	if err != nil {
		return err
	}
	defer db.Close()
	var pid int
	if err := db.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

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
