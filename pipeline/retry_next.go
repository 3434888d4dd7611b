// SPDX-License-Identifier: Apache-2.0

package pipeline

import "time"

// Next says whether an attempt that has ended is followed by another one, and
// after how long. Who shows a run tells by it that a failure is not the end.
func (r Retry) Next(s StepRun) (time.Duration, bool) {
	if !s.State.Ended() {
		return 0, false
	}
	return r.after(s)
}
