// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package file

import (
	"errors"
	"os"
)

func clone(dst, src *os.File) error { return errors.ErrUnsupported }

func syncAll(dir string) error { return errors.ErrUnsupported }

func startWriting(f *os.File, from, length int64) {}
