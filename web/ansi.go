// SPDX-License-Identifier: Apache-2.0

package web

import "regexp"

// ansi matches terminal control sequences (ECMA-48, CSI and OSC).
var ansi = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\))")
