// SPDX-License-Identifier: Apache-2.0

package process

import (
	"io"
	"os"
)

// copyMasked copies what the task writes to its log, without its secrets, until
// the last process of it has closed its end.
func (s *supervisor) copyMasked(t *task, whole chan struct{}, from *os.File, to io.WriteCloser) {
	defer close(whole)
	defer from.Close()
	_, err := io.Copy(to, from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		s.log.Error("log not written", "task", t.id, "err", err)
		_, _ = io.Copy(io.Discard, from) // the task must not wait for a full disk
	}
}
