// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package source

import "io/fs"

// statOf knows no change time here, so nothing is remembered.
func statOf(fs.FileInfo) (fileStat, bool) { return fileStat{}, false }
