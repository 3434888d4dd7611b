// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package source

import (
	"io"
	"os"
)

func mapFile(f *os.File) ([]byte, error) { return io.ReadAll(f) }

func unmapFile([]byte) {}
