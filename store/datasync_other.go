// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package store

import "os"

// datasync makes a file durable.
func datasync(f *os.File) error { return f.Sync() }
