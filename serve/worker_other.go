// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package serve

import "syscall"

// workerProcess gives a worker a process group of its own. That it dies with
// its parent rests on the end of its input alone here.
func workerProcess() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
