// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"lastro"
	"lastro/exec"
	"lastro/pipeline"
)

// verdict turns an exit into the error of the step. Whatever the program did
// itself is failed; what it could do nothing about is errored.
func verdict(j *pipeline.Job, e exec.Exit) error {
	if e.OK() {
		return nil
	}
	err := &lastro.Error{Code: lastro.EFailed, ID: "L0301", Msg: e.String(), Notes: tail(j.LogPath, 4),
		Hint: fmt.Sprintf("all output: lastro logs %d %s", j.Run, j.Step.Name)}
	switch e.Reason {
	case exec.Exited:
		if more := codes[e.Code]; more != "" && j.Step.Argv == nil {
			err.Msg += ": " + more
		}
	case exec.Signal:
		err.Msg = fmt.Sprintf("killed by signal %d (%s)", e.Signal, syscall.Signal(e.Signal))
		if syscall.Signal(e.Signal) == syscall.SIGKILL {
			err.Hint = fmt.Sprintf("most often the machine ran out of memory; the step had used %d MiB", e.MaxRSS>>20)
		}
	case exec.Timeout:
		limit := j.Step.Timeout
		if limit == 0 {
			limit = defaultTimeout
		}
		err.ID, err.Msg, err.Hint = "L0303", fmt.Sprintf("it took longer than its timeout of %s", limit), "raise `timeout:`, or make it faster"
	case exec.StartFailed:
		err.ID, err.Hint = "L0304", "is the program installed, or listed in requirements.txt?"
	case exec.Cancelled:
		err.Code, err.Msg = lastro.EErrored, "stopped: "+e.Detail
	default:
		return &lastro.Error{Code: lastro.EErrored, ID: "L0309", Msg: "lost: " + e.String(), Hint: "the machine or the supervisor went away; run the same command again", Err: pipeline.ErrLost}
	}
	return err
}

// codes are exit statuses by which a shell says more.
var codes = map[int]string{
	126: "a program of the command cannot be executed",
	127: "a program of the command was not found",
	137: "a program of the command was killed (often: out of memory)",
	143: "a program of the command was terminated",
}

// tailBytes is how much of a log's end is searched for its last lines.
const tailBytes = 16 << 10

// tail returns the last lines of a log that are not blank.
func tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return nil
		}
	}
	raw, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return nil
	}
	var lines []string
	for line := range bytes.Lines(raw) {
		if text := strings.TrimRight(string(line), "\r\n\t "); text != "" {
			lines = append(lines, strings.ToValidUTF8(text, "?"))
		}
	}
	return lines[max(0, len(lines)-n):]
}
