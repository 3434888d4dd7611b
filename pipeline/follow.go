// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

// followEvery is how late a log line may reach the observer.
const followEvery = 100 * time.Millisecond

// maxLine cuts what the observer is shown of a line; the file has it all.
const maxLine = 64 << 10

// follow hands the lines of the log to the observer while they are written,
// whoever writes them. The function that it returns hands over the rest.
func (a *attempt) follow() (stop func()) {
	o := a.r.obs
	if picky, ok := o.(interface{ WantsLines() bool }); o == nil || (ok && !picky.WantsLines()) {
		return func() {}
	}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		var f *os.File // nil while nobody has written
		var pending []byte
		defer func() {
			if f != nil {
				f.Close()
			}
		}()
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for last := false; !last; {
			select {
			case <-tick.C:
			case <-quit:
				last = true
			}
			if f == nil {
				f, _ = os.Open(a.log.path)
			}
			if f != nil {
				pending = a.lines(f, pending, last)
			}
		}
	})
	var once sync.Once
	return func() { once.Do(func() { close(quit); done.Wait() }) }
}

// lines reports the whole lines that are there now; at the end also half a one.
func (a *attempt) lines(f *os.File, pending []byte, last bool) []byte {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		pending = append(pending, buf[:n]...)
		for {
			i := bytes.IndexByte(pending, '\n')
			if i < 0 && len(pending) < maxLine {
				break
			}
			if i < 0 {
				i = maxLine
			}
			a.say(pending[:i])
			pending = pending[min(i+1, len(pending)):]
		}
		if err == io.EOF || n == 0 {
			break
		}
	}
	if last && len(pending) > 0 {
		a.say(pending)
		pending = nil
	}
	return pending
}

func (a *attempt) say(line []byte) {
	a.r.seen.Lock()
	defer a.r.seen.Unlock()
	a.r.obs.LogLine(a.row.Run, a.row.Step, a.row.Cell, string(bytes.TrimRight(line, "\r")))
}
