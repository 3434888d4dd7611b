// SPDX-License-Identifier: Apache-2.0

package process

import "lastro/exec"

// Enforces reports whether tasks of this machine can be kept to s: nil, or an
// EErrored error with ID L0350 that says what is missing and how to get it. It
// tries once in the life of the process, in a few milliseconds. Ask it before a
// run begins; Sandbox{Strict: true}, Sandbox{Network: none} and
// Sandbox{Binds: ...} are the questions.
func Enforces(s exec.Sandbox) error { return nil }
