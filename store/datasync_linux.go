// SPDX-License-Identifier: Apache-2.0

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes a file's bytes and length durable, not its times.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
