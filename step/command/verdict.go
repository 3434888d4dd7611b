// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
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
	how := &pipeline.Ended{ExitCode: -1}
	err.Err = how
	switch e.Reason {
	case exec.Exited:
		how.ExitCode, how.Reason = e.Code, pipeline.RetryReason("exit:"+strconv.Itoa(e.Code))
		if more := codes[e.Code]; more != "" && j.Step.Argv == nil {
			err.Msg += ": " + more
		}
	case exec.Signal:
		err.Msg = fmt.Sprintf("killed by signal %d (%s)", e.Signal, syscall.Signal(e.Signal))
		if syscall.Signal(e.Signal) == syscall.SIGKILL {
			err.Hint = "most often the machine ran out of memory"
			if e.MaxRSS > 0 {
				err.Hint += fmt.Sprintf("; the step had used %d MiB", e.MaxRSS>>20)
			}
		}
	case exec.Timeout:
		limit := j.Step.Timeout
		if limit == 0 {
			limit = defaultTimeout
		}
		how.Reason = pipeline.RetryTimeout
		err.ID, err.Msg, err.Hint = "L0303", fmt.Sprintf("it took longer than its timeout of %s", limit), "raise `timeout:`, or make it faster"
	case exec.OOM:
		how.Reason = pipeline.RetryOOM
		limit := j.Step.Limits.Memory
		err.ID, err.Msg = "L0302", fmt.Sprintf("needed more memory than it asked for: killed at %s (resources: memory %s), peak seen %s", mebibytes(limit), amount(limit), mebibytes(e.MaxRSS))
		err.Hint = fmt.Sprintf("raise it: `resources: {memory: %s}`", amount(2*limit))
	case exec.StartFailed:
		err.ID, err.Hint = "L0304", "is the program installed, or listed in requirements.txt?"
	case exec.Cancelled:
		err.Code, err.Msg = lastro.EErrored, "stopped: "+e.Detail
	default:
		how.Reason = pipeline.RetryLost
		return &lastro.Error{Code: lastro.EErrored, ID: "L0309", Msg: e.String(), Hint: "the machine or the supervisor went away; run the same command again", Err: how}
	}
	if j.Strict {
		err.Notes = append(err.Notes, refusals(err.Notes)...)
	}
	return err
}

// mebibytes is a number of bytes for people: "256 MiB".
func mebibytes(n int64) string {
	return strconv.FormatFloat(float64(n*10/(1<<20))/10, 'f', -1, 64) + " MiB"
}

// amount is a number of bytes as the file spells it: "256Mi", "2Gi".
func amount(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// refusals explains lines that a strict sandbox makes programs print.
func refusals(lines []string) []string {
	text := strings.Join(lines, "\n")
	var out []string
	for _, r := range strictRefusals {
		for _, mark := range r.marks {
			if strings.Contains(text, mark) {
				out = append(out, r.means)
				break
			}
		}
	}
	return out
}

// strictRefusals are what the C library says (strerror), and what it means.
var strictRefusals = []struct {
	marks []string
	means string
}{
	{[]string{"Read-only file system", "Permission denied", "PermissionError"}, "--strict: a step writes below its workspace, $HOME and $TMPDIR only; declare what it makes as an output"},
	{[]string{"No such file or directory", "FileNotFoundError", "Permission denied", "PermissionError"}, "--strict: a step sees only its declared inputs and its code, not the rest of the project or of the machine"},
	{[]string{"Network is unreachable", "Temporary failure in name resolution", "Name or service not known", "Could not resolve host", "Failed to connect", "unable to resolve host"}, "--strict: a step has no network; `network: full` in the step allows it"},
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

// tailRunes is the most that an error shows of one line: a line of 64 KiB, or
// of binary output, would push everything else off the screen.
const tailRunes = 300

// tail returns the last lines of a log that are not blank, long ones shortened.
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
			lines = append(lines, shorten(strings.ToValidUTF8(text, "?"), tailRunes))
		}
	}
	return lines[max(0, len(lines)-n):]
}

// shorten keeps the first n runes of a text, and says that there was more. How
// much nobody knows: only the end of a log is read.
func shorten(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n]) + " … (shortened)"
	}
	return text
}
