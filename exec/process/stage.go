// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"lastro/exec"
)

// A stage is this very program, started in the place of a task's program, for a
// few milliseconds: in the task's own network it opens the port of tracking and
// hands it to the supervisor; it takes Landlock's rules upon itself; and then
// it becomes the task's program. Only a process that is inside can do either.

// stageName is the first argument by which a process knows that it is a stage.
const stageName = "lastro-sandbox-stage"

// stagePath is this program as seen by a process that got it as descriptor 3.
const stagePath = "/proc/self/fd/3"

// stageSpec is the stage's second argument; the program's own follow.
type stageSpec struct {
	Path   string       // the program
	Port   int          // of tracking in a network of its own; 0 = none
	Socket int          // descriptor that takes the listener, and what went wrong
	Land   *strictRules // nil = bubblewrap does it
}

func init() {
	if len(os.Args) > 2 && (os.Args[0] == stageName || os.Args[1] == stageName) {
		playStage(os.Args[1:])
		os.Exit(126)
	}
}

// playStage returns only when it could not do its work, and has said so.
func playStage(args []string) {
	runtime.LockOSThread() // the rules are this thread's, and only its exec keeps them
	if args[0] == stageName {
		args = args[1:]
	}
	var spec stageSpec
	if err := json.Unmarshal([]byte(args[0]), &spec); err != nil {
		fmt.Fprintln(os.Stderr, "lastro: sandbox:", err)
		return
	}
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(spec.Socket)
	err := spec.become(args[1:])
	_, _ = unix.Write(spec.Socket, []byte(err.Error()))
}

// become does what the stage is for. It returns when something failed.
func (spec stageSpec) become(argv []string) error {
	if spec.Port != 0 {
		if err := handOver(spec.Port, spec.Socket); err != nil {
			return fmt.Errorf("open the port of tracking in the sandbox: %w", err)
		}
	}
	if spec.Land != nil {
		if err := spec.Land.enforce(); err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	return explain(spec.Path, syscall.Exec(spec.Path, argv, os.Environ()))
}

// handOver listens on the loopback of this network and sends the listener
// through the socket.
func handOver(port, socket int) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 128); err != nil {
		return err
	}
	return unix.Sendmsg(socket, []byte{1}, unix.UnixRights(fd), nil, 0)
}

// loopbackUp makes 127.0.0.1 reachable in a new network; bubblewrap has done it
// already.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	if lo.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// stage puts a stage before the program when the task needs one.
func (s *supervisor) stage(t *task, spec *exec.Task, l *program) error {
	box := spec.Sandbox
	st := stageSpec{Path: l.path}
	if !t.cell.wrapped && box.Strict {
		st.Land = &strictRules{Writable: append(append([]string{spec.Dir}, spec.MakeDirs...), box.Writable...), Readable: box.ReadOnly, Hidden: box.Hidden}
	}
	own := box.Network == exec.NetworkNone
	if !own && st.Land == nil {
		return nil
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	l.own = append(l.own, self)
	l.pass(self) // 3: stagePath
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	l.own = append(l.own, theirs)
	st.Socket = l.pass(theirs)
	go s.followStage(t, t.await(), ours)
	if own {
		st.Port = s.forward.port()
		if !t.cell.wrapped {
			newNetwork(&l.attr)
		}
	}
	text, err := json.Marshal(st)
	if err != nil {
		return err
	}
	l.argv = append([]string{stageName, string(text)}, l.argv...)
	if t.cell.wrapped {
		l.argv = append([]string{stageName}, l.argv...) // of which wrap takes the first away
	} else {
		l.path = stagePath
	}
	return nil
}

// newNetwork starts a process in a network of its own.
func newNetwork(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= syscall.CLONE_NEWNET
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN} // for the stage's loopbackUp
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	}
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// followStage hears what a stage says until the program has taken its place:
// the listener of the task's own network, from which it then forwards until the
// task is over, and what went wrong.
func (s *supervisor) followStage(t *task, over chan struct{}, from *os.File) {
	defer close(over)
	defer from.Close()
	conn, err := net.FileConn(from)
	if err != nil {
		s.log.Warn("sandbox not followed", "task", t.id, "err", err)
		return
	}
	defer conn.Close()
	for {
		text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
		n, r, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(text, rights)
		if err != nil || n == 0 {
			return
		}
		if r == 0 {
			t.refused = string(text[:n])
			continue
		}
		l, err := listenerOf(rights[:r])
		if err != nil {
			s.log.Warn("tracking is not reachable", "task", t.id, "err", err)
			continue
		}
		go s.forward.serve(s.life, l)
		go func() {
			select {
			case <-t.done:
			case <-s.life.Done():
			}
			l.Close()
		}()
	}
}

func listenerOf(rights []byte) (net.Listener, error) {
	msgs, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(msgs) != 1 {
		return nil, fmt.Errorf("no listener came: %v", err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("no listener came: %v", err)
	}
	f := os.NewFile(uintptr(fds[0]), "inside")
	defer f.Close()
	return net.FileListener(f)
}
