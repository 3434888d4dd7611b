// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"lastro"
)

// report is what "pip install --report" says it would install. Source: pip's
// documentation, "Installation Report", version 1.
type report struct {
	Install []struct {
		Metadata struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"metadata"`
		IsDirect     bool `json:"is_direct"`
		DownloadInfo struct {
			URL         string `json:"url"`
			ArchiveInfo struct {
				Hash   string            `json:"hash"` // "sha256=...", older pips
				Hashes map[string]string `json:"hashes"`
			} `json:"archive_info"`
		} `json:"download_info"`
	} `json:"install"`
}

// compilePip pins the requirements by pip, asked from an environment of its
// own: the machine's pip may be absent or old. Its lock has the one archive
// that fits this platform, where uv's has all of a version.
func (r *Resolver) compilePip(ctx context.Context, w Wanted, py *interpreter, tmp string, held *os.File) (string, error) {
	r.say(fmt.Sprintf("pinning %s with pip for Python %s", filepath.Base(w.Requirements), py.version))
	venv := filepath.Join(tmp, "venv")
	if err := r.makeVenv(ctx, venv, py, held); err != nil {
		return "", err
	}
	out := filepath.Join(tmp, "report.json")
	c := r.command(ctx, filepath.Dir(w.Requirements), filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--dry-run", "--ignore-installed",
		"--progress-bar", "off", "--report", out, "-r", filepath.Base(w.Requirements)).holding(held)
	if err := c.run(); err != nil {
		return "", toolError(ctx, c, err, "pip could not pin the requirements", w.Requirements)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		return "", err
	}
	var rep report
	if err := json.Unmarshal(raw, &rep); err != nil {
		return "", fmt.Errorf("read pip's report: %w", err)
	}
	return rep.lock(w.Requirements)
}

// separators are what a normalised project name writes as one dash. Source:
// PyPA specification "Names and normalization".
var separators = regexp.MustCompile(`[-_.]+`)

// lock writes the report as a requirements file with hashes.
func (rep report) lock(requirements string) (string, error) {
	var pins []string
	for _, i := range rep.Install {
		name := strings.ToLower(separators.ReplaceAllString(i.Metadata.Name, "-"))
		hash := i.DownloadInfo.ArchiveInfo.Hashes["sha256"]
		if hash == "" {
			hash, _ = strings.CutPrefix(i.DownloadInfo.ArchiveInfo.Hash, "sha256=")
		}
		if len(hash) != 64 {
			return "", &lastro.Error{Code: lastro.EUnsupported, Pos: lastro.Pos{File: requirements},
				Msg:  fmt.Sprintf("%s %s comes from %s, which has no archive whose hash could be pinned", name, i.Metadata.Version, i.DownloadInfo.URL),
				Hint: "take a released version, or a wheel by its URL, in place of a repository or a folder"}
		}
		pin := name + "==" + i.Metadata.Version
		if i.IsDirect {
			pin = name + " @ " + i.DownloadInfo.URL
		}
		pins = append(pins, fmt.Sprintf("%s \\\n    --hash=sha256:%s\n", pin, hash))
	}
	sort.Strings(pins)
	return strings.Join(pins, ""), nil
}

func (r *Resolver) makeVenv(ctx context.Context, dir string, py *interpreter, held *os.File) error {
	c := r.command(ctx, "/", py.path, "-I", "-m", "venv", dir).holding(held)
	if err := c.run(); err != nil {
		return toolError(ctx, c, err, fmt.Sprintf("Python %s could not make a virtual environment", py.version), "")
	}
	return nil
}

// installPip builds an environment by venv and pip, which writes byte code.
func (r *Resolver) installPip(ctx context.Context, e *Env, lock *lockText, py *interpreter, held *os.File) error {
	r.say(fmt.Sprintf("building a Python %s environment with pip (%d packages)", py.version, len(lock.pins)))
	if err := r.makeVenv(ctx, e.Dir, py, held); err != nil {
		return err
	}
	if len(lock.pins) == 0 {
		return nil
	}
	file, err := lock.save(e)
	if err != nil {
		return err
	}
	args := []string{"-m", "pip", "install", "--no-deps", "--compile", "--progress-bar", "off"}
	if lock.hashed {
		args = append(args, "--require-hashes")
	}
	c := r.command(ctx, "/", e.Python, append(args, "-r", file)...).holding(held)
	if err := c.run(); err != nil {
		return toolError(ctx, c, err, "pip could not install what lastro.lock pins", file)
	}
	return nil
}
