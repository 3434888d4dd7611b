// SPDX-License-Identifier: Apache-2.0

package serve

import "syscall"

// workerProcess gives a worker a process group of its own, and the kernel's
// word that it dies with its parent.
func workerProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
