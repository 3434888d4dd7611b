// SPDX-License-Identifier: Apache-2.0

package python

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"lastro"
)

// lockTitle is the first line of a lock that lastro wrote. The format is
// pip's requirements file with hashes, and the header says what it was made
// from, so that "pip install --require-hashes -r lastro.lock" works anywhere.
const lockTitle = "# lastro.lock: written by lastro from the requirements, to be committed."

// header is what a lock was made from. It is comparable.
type header struct {
	requirements lastro.Digest // of the requirements and the files they include
	python       string        // "3.11"
	platform     string        // "linux/amd64"
}

// platform names what wheels are chosen for.
func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

func (h header) String() string {
	return fmt.Sprintf("%s\n# requirements: %s\n# python: %s\n# platform: %s\n", lockTitle, h.requirements, h.python, h.platform)
}

// lockText is a lock as read.
type lockText struct {
	header
	text   []byte
	digest lastro.Digest
	pins   []string // the names and versions, "numpy==2.1.0"
	hashed bool     // every pin has a hash
}

// readLock returns nil when the file is not there.
func readLock(path string) (*lockText, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLock(text), nil
}

// parseLock looks at each line as it stands, without joining those that a
// backslash continues: a lock has hundreds of kilobytes of hashes and is read
// at every run.
func parseLock(text []byte) *lockText {
	l := &lockText{text: text, digest: lastro.DigestOf(text), hashed: true}
	hash := []byte("--hash=")
	open := false // the pin above has no hash yet
	for line := range bytes.Lines(text) {
		switch line = bytes.TrimRight(line, "\r\n"); {
		case len(line) == 0:
		case line[0] == '#':
			l.headerLine(string(line))
		case line[0] == ' ' || line[0] == '\t':
			open = open && !bytes.Contains(line, hash)
		case line[0] != '-' || bytes.HasPrefix(line, []byte("-e")):
			l.hashed = l.hashed && !open
			pin, _, hashed := bytes.Cut(line, hash)
			l.pins = append(l.pins, strings.TrimSpace(strings.TrimSuffix(string(pin), "\\")))
			open = !hashed
		}
	}
	l.hashed = l.hashed && !open
	return l
}

func (l *lockText) headerLine(line string) {
	key, value, _ := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
	switch key {
	case "requirements":
		l.requirements = lastro.Digest(value)
	case "python":
		l.python = value
	case "platform":
		l.platform = value
	}
}

// logicalLines joins lines that end in a backslash and trims them.
func logicalLines(text []byte) []string {
	var lines []string
	var joined strings.Builder
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		if rest, more := strings.CutSuffix(line, "\\"); more {
			joined.WriteString(rest + " ")
			continue
		}
		joined.WriteString(line)
		lines = append(lines, strings.TrimSpace(joined.String()))
		joined.Reset()
	}
	return lines
}

// include finds "-r other.txt" and "-c constraints.txt".
var include = regexp.MustCompile(`^(?:-r|-c|--requirement|--constraint)(?:\s+|=)?(\S+)`)

// digestRequirements digests a requirements file and the files that it
// includes. A file that is not there counts as empty.
func digestRequirements(path string) (lastro.Digest, error) {
	h := lastro.NewHasher()
	seen := map[string]bool{}
	var add func(string) error
	add = func(path string) error {
		if seen[path] {
			return nil
		}
		seen[path] = true
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		fmt.Fprintf(h, "%d\n%s", len(text), text)
		for _, line := range logicalLines(text) {
			m := include.FindStringSubmatch(line)
			if m == nil || strings.Contains(m[1], "://") {
				continue
			}
			other := m[1]
			if !filepath.IsAbs(other) {
				other = filepath.Join(filepath.Dir(path), other)
			}
			if err := add(other); err != nil {
				return err
			}
		}
		return nil
	}
	if err := add(path); err != nil {
		return "", err
	}
	return h.Digest(), nil
}

// checkUsable reports a lock that cannot be installed from.
func (l *lockText) checkUsable(path string, own bool) error {
	if own && filepath.Base(path) == "uv.lock" || bytes.Contains(l.text, []byte("[[package]]")) {
		return &lastro.Error{Code: lastro.EUnsupported, Pos: lastro.Pos{File: path},
			Msg:  fmt.Sprintf("%s is a lock in uv's own format, which lastro does not read yet", filepath.Base(path)),
			Hint: "write one in pip's: uv export --format requirements-txt -o requirements.lock"}
	}
	if own {
		return nil
	}
	for _, line := range logicalLines(l.text) {
		if line != "" && line[0] != '#' && !strings.Contains(line, "--hash=") && !strings.HasPrefix(line, "--") {
			return &lastro.Error{Code: lastro.EUnsupported, Pos: lastro.Pos{File: path},
				Msg:  fmt.Sprintf("requirement %q has no archive whose hash could be pinned", line),
				Hint: "take a released version, or a wheel by its URL, in place of a repository or a folder"}
		}
	}
	return nil
}

// writeFile replaces path in one step.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone when all went well
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
