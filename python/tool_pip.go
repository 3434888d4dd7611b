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

// oldestPip is the first pip with both --report and --python.
const oldestPip = "22.3"

// pip returns the interpreter of a virtual environment that holds nothing but
// pip, made once for each Python: the machine's own pip may be absent, old or
// forbidden to install, and making one takes seconds.
func (r *Resolver) pip(ctx context.Context, py *interpreter) (string, error) {
	tool := &Env{Dir: filepath.Join(r.cacheDir(), "pip", py.version)}
	tool.Python = filepath.Join(tool.Dir, "bin", "python")
	held, err := r.hold(ctx, "pip-"+py.version, "another lastro sets up pip")
	if err != nil {
		return "", err
	}
	defer held.Close()
	if complete(tool) {
		return tool.Python, nil
	}
	if err := os.RemoveAll(tool.Dir); err != nil {
		return "", err
	}
	if err := r.makeVenv(ctx, tool.Dir, py, held); err != nil {
		return "", err
	}
	c := r.command(ctx, "/", tool.Python, "-c", "import pip; print(pip.__version__)")
	version, err := c.output()
	if err != nil {
		return "", toolError(ctx, c, err, fmt.Sprintf("Python %s has no pip", py.version), "")
	}
	if older(strings.TrimSpace(version), oldestPip) {
		c = r.command(ctx, "/", tool.Python, "-m", "pip", "install", "--upgrade", "pip>="+oldestPip).holding(held)
		if err := c.run(); err != nil {
			return "", toolError(ctx, c, err, fmt.Sprintf("pip %s is too old and could not be renewed", strings.TrimSpace(version)), "")
		}
	}
	return tool.Python, writeFile(filepath.Join(tool.Dir, completeFile), nil, 0o644)
}

// compilePip pins the requirements by pip. Its lock has the one archive that
// fits this platform, where uv's has all of a version.
func (r *Resolver) compilePip(ctx context.Context, w Wanted, py *interpreter, tmp string, held *os.File) (string, error) {
	r.say(fmt.Sprintf("pinning %s with pip for Python %s", filepath.Base(w.Requirements), py.version))
	pip, err := r.pip(ctx, py)
	if err != nil {
		return "", err
	}
	out := filepath.Join(tmp, "report.json")
	c := r.command(ctx, filepath.Dir(w.Requirements), pip, "-m", "pip", "install", "--dry-run", "--ignore-installed",
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

func (r *Resolver) makeVenv(ctx context.Context, dir string, py *interpreter, held *os.File, flags ...string) error {
	c := r.command(ctx, "/", py.path, append([]string{"-I", "-m", "venv", dir}, flags...)...).holding(held)
	if err := c.run(); err != nil {
		return toolError(ctx, c, err, fmt.Sprintf("Python %s could not make a virtual environment", py.version), "")
	}
	return nil
}

// installPip builds an environment by venv and pip. As with uv, pip itself is
// not in it.
func (r *Resolver) installPip(ctx context.Context, e *Env, lock *lockText, py *interpreter, held *os.File) error {
	r.say(fmt.Sprintf("building a Python %s environment with pip (%d packages)", py.version, len(lock.pins)))
	if err := r.makeVenv(ctx, e.Dir, py, held, "--without-pip"); err != nil {
		return err
	}
	if len(lock.pins) == 0 {
		return nil
	}
	pip, err := r.pip(ctx, py)
	if err != nil {
		return err
	}
	file, err := lock.save(e)
	if err != nil {
		return err
	}
	args := []string{"-m", "pip", "--python", e.Python, "install", "--no-deps", "--no-compile", "--progress-bar", "off"}
	if lock.hashed {
		args = append(args, "--require-hashes")
	}
	c := r.command(ctx, "/", pip, append(args, "-r", file)...).holding(held)
	if err := c.run(); err != nil {
		return toolError(ctx, c, err, "pip could not install what lastro.lock pins", file)
	}
	// pip would compile too, but with one processor. Packages ship files that no
	// Python can compile, so its answer says nothing.
	_, _ = r.command(ctx, "/", e.Python, "-m", "compileall", "-q", "-j", "0", filepath.Join(e.Dir, "lib")).holding(held).output()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
