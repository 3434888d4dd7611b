// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// TestMain lets the test binary be the worker that the client starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "data-worker" {
		if err := Serve(context.Background(), os.Stdin, os.Stdout, Options{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
