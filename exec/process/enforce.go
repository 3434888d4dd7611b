// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"lastro"
	"lastro/exec"
)

// Enforces reports whether tasks of this machine can be kept to s: nil, or an
// EErrored error with ID L0350 that says what is missing and how to get it. It
// tries once in the life of the process, in a few milliseconds. Ask it before a
// run begins; Sandbox{Strict: true}, Sandbox{Network: none} and
// Sandbox{Binds: ...} are the questions. Sandbox{ReadOnly: ...} alone is never
// refused: Exit.Isolation says what was done.
func Enforces(s exec.Sandbox) error {
	if bubblewrap() != "" {
		return nil
	}
	refuse := func(what, why string) error {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0350", Msg: "this machine cannot keep " + what, Notes: []string{"bubblewrap is not installed or may not make namespaces", why},
			Hint: "install bubblewrap (apt-get install bubblewrap), or ask for less: without --strict, `network: full`"}
	}
	switch {
	case len(s.Binds) > 0:
		return refuse("inputs read-only by binds", "nothing else shows a file at another path")
	case s.Strict && landlockABI() < landlockVersion:
		return refuse("a step to its workspace", "the kernel has no Landlock of Linux 6.2 or newer")
	case s.Network == exec.NetworkNone && !canIsolateNetwork():
		return refuse("a step off the network", "a process may not have a network of its own here")
	}
	return nil
}

// withoutVar names what a process does without although the machine has it, to
// see what happens on another one: bubblewrap, landlock, namespaces, cgroups.
const withoutVar = "LASTRO_WITHOUT"

func without(what string) bool {
	return slices.Contains(strings.Fields(os.Getenv(withoutVar)), what)
}

// canIsolateNetwork tries to start a program in a network of its own.
var canIsolateNetwork = sync.OnceValue(func() bool {
	if without("namespaces") {
		return false
	}
	try := osexec.Command("/bin/true")
	try.SysProcAttr = &syscall.SysProcAttr{}
	newNetwork(try.SysProcAttr)
	return try.Run() == nil
})
