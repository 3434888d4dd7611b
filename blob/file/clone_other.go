// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package file

import (
	"errors"
	"os"
)

func clone(dst, src *os.File) error { return errors.ErrUnsupported }
