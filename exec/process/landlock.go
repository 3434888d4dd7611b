// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock can only allow, below a folder and for good; it cannot take
// something out of what was allowed above it. "All but this" is therefore said
// by naming every neighbour of it and of the folders above it.

// What a rule can allow, of linux/landlock.h.
const (
	landRead  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landWrite = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	landFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// landlockVersion is the first version of the interface (Linux 6.2) in which
// files cannot be truncated and renamed past the rules.
const landlockVersion = 3

// landlockABI is the version that this kernel speaks, 0 for none.
func landlockABI() int {
	if without("landlock") {
		return 0
	}
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// land is a set of rules.
type land struct {
	fd     int
	handle uint64
	err    error // the first one
}

// newLand begins a set of rules that forbids handle but for what is allowed,
// and with alone, where the kernel can (Linux 6.12), signals to processes and
// abstract sockets that are not of the same task.
func newLand(handle uint64, alone bool) (*land, error) {
	version := landlockABI()
	if version < landlockVersion {
		return nil, errors.New("this kernel has no Landlock, or an old one")
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handle}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if alone && version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
		size = unsafe.Offsetof(attr.Scoped) + unsafe.Sizeof(attr.Scoped)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return nil, errno
	}
	return &land{fd: int(fd), handle: handle}, nil
}

// allow allows access at path and below. What does not exist needs no rule.
func (l *land) allow(access uint64, path string) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= landFile
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: access & l.handle, Parent_fd: int32(fd)}
	if attr.Allowed_access == 0 {
		return
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(l.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 && l.err == nil {
		l.err = errno
	}
}

// allowAllBut allows access everywhere that is not one of paths or below, and
// not directly in a folder above one of them. Links need no rule: what they
// lead to has one.
func (l *land) allowAllBut(access uint64, paths []string) {
	var real []string
	for _, p := range paths {
		if r, err := filepath.EvalSymlinks(p); err == nil {
			real = append(real, r)
		}
	}
	if len(real) == 0 {
		l.allow(access, "/")
		return
	}
	l.allowBeside(access, "/", real)
}

// allowBut is allowAllBut for what is in a folder.
func (l *land) allowBut(access uint64, dir string, paths []string) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return
	}
	var inside []string
	for _, p := range paths {
		if r, err := filepath.EvalSymlinks(p); err == nil && within(r, []string{dir}) {
			inside = append(inside, r)
		}
	}
	switch {
	case len(inside) == 0:
		l.allow(access, dir)
	case !within(dir, inside):
		l.allowBeside(access, dir, inside)
	}
}

func (l *land) allowBeside(access uint64, dir string, paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		above, is := false, e.Type()&os.ModeSymlink != 0
		for _, deny := range paths {
			is = is || p == deny
			above = above || strings.HasPrefix(deny, p+"/")
		}
		switch {
		case is:
		case above:
			l.allowBeside(access, p, paths)
		default:
			l.allow(access, p)
		}
	}
}

// enforce keeps this thread to the rules, and whoever it starts.
func (l *land) enforce() error {
	defer unix.Close(l.fd)
	if l.err != nil {
		return l.err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(l.fd), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// landlockReadOnly keeps this thread from writing the paths.
func landlockReadOnly(paths []string) error {
	l, err := newLand(landWrite, false)
	if err != nil {
		return err
	}
	l.allowAllBut(landWrite, paths)
	return l.enforce()
}

// devices are what a strict step may write to below /dev.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/shm"}

// strictRules are what a strict step is kept to by Landlock.
type strictRules struct {
	Writable []string
	Readable []string // although it is below a hidden path
	Hidden   []string
}

func (r strictRules) enforce() error {
	l, err := newLand(landWrite|landRead, true)
	if err != nil {
		return err
	}
	for _, dir := range append([]string{"/proc", "/dev"}, system...) {
		l.allowBut(landRead, dir, append(r.Hidden, unseen...))
	}
	if file := resolver(); file != "" {
		l.allow(landRead, file)
	}
	for _, p := range r.Readable {
		l.allow(landRead, p)
	}
	for _, p := range r.Writable {
		l.allow(landRead|landWrite, p)
	}
	gpus, _ := filepath.Glob("/dev/nvidia*")
	for _, p := range append(append(gpus, "/dev/dri", "/dev/kfd"), devices...) {
		l.allow(landRead|landWrite, p)
	}
	return l.enforce()
}
