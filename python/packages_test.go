// SPDX-License-Identifier: Apache-2.0

package python

import (
	"maps"
	"testing"
)

func TestPackages(t *testing.T) {
	lock := "# lastro.lock: written by lastro\n# python: 3.11\n\nNumPy==2.1.0 \\\n    --hash=sha256:aa\nuvicorn[standard]==0.30 ; python_version < \"3.13\" \\\n    --hash=sha256:bb\n-e ./own\nown @ file:///x\n"
	want := map[string]string{"numpy": "2.1.0", "uvicorn": "0.30", "-e": "./own", "own": "@ file:///x"}
	if got := Packages([]byte(lock)); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
