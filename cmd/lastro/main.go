// SPDX-License-Identifier: Apache-2.0

// Command lastro joins DevOps and MLOps: one loop from code and data to a
// watched endpoint. All of it is in package cli.
package main

import (
	"os"

	"lastro/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
