// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

const api = "/api/2.0/mlflow/"

// Experiments implements Source.
func (s *Server) Experiments(ctx context.Context, fn func(track.Experiment) error) error {
	var list []track.Experiment
	err := pages(func(token string) (string, error) {
		var answer struct {
			Experiments []wireExperiment `json:"experiments"`
			Next        string           `json:"next_page_token"`
		}
		err := s.post(ctx, api+"experiments/search", map[string]any{"max_results": 1000, "view_type": "ALL", "page_token": token}, &answer)
		for _, e := range answer.Experiments {
			list = append(list, track.Experiment{ID: e.ID, Name: e.Name, State: track.Lifecycle(e.State), CreatedAt: e.Created.time(), UpdatedAt: e.Updated.time(), Tags: mapOf(e.Tags)})
		}
		return answer.Next, err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b track.Experiment) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	for _, e := range list {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Runs implements Source. Oldest first: what comes in meanwhile is at the end.
// MLflow's search leaves out the logged models that a run read.
func (s *Server) Runs(ctx context.Context, experiment string, fn func(Run) error) error {
	return pages(func(token string) (string, error) {
		var answer struct {
			Runs []wireRun `json:"runs"`
			Next string    `json:"next_page_token"`
		}
		q := map[string]any{"experiment_ids": []string{experiment}, "run_view_type": "ALL", "max_results": runsAtOnce, "order_by": []string{"attributes.start_time ASC"}}
		if token != "" {
			q["page_token"] = token
		}
		if err := s.post(ctx, api+"runs/search", q, &answer); err != nil {
			return "", err
		}
		for _, w := range answer.Runs {
			if s.major >= 3 && !s.lastro {
				var one struct{ Run wireRun }
				if err := s.get(ctx, api+"runs/get", url.Values{"run_id": {w.Info.ID}}, &one); err != nil {
					return "", err
				}
				w = one.Run
			}
			r := w.run(experiment)
			if !strings.HasPrefix(r.Root, artifactScheme) {
				r.Root = viaRun + r.ID
			}
			if err := fn(r); err != nil {
				return "", err
			}
		}
		return answer.Next, nil
	})
}

// asked is how many histories are asked for at a time.
const asked = 8

// Points implements Source. The protocol gives one metric of one run at a
// time, so several are asked for at once; they are handed on in order.
func (s *Server) Points(ctx context.Context, run Run, fn func([]track.Metric) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys := make([]string, len(run.Metrics))
	for i, m := range run.Metrics {
		keys[i] = m.Key
	}
	slices.Sort(keys)
	about := s.measured[run.ID]
	type part struct {
		points []track.Metric
		err    error
	}
	answers := make([]chan part, len(keys))
	for i := range answers {
		answers[i] = make(chan part, 1)
	}
	slots := make(chan struct{}, asked)
	go func() {
		for i, key := range keys {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			go func() {
				defer close(answers[i])
				err := s.history(ctx, run.ID, key, func(points []track.Metric) error {
					select {
					case answers[i] <- part{points: points}:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				if err != nil {
					select {
					case answers[i] <- part{err: err}:
					case <-ctx.Done():
					}
				}
			}()
		}
	}()
	for i := range answers {
		g := grouping{about: about, fn: fn}
		for open := true; open; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case p, ok := <-answers[i]:
				if open = ok; p.err != nil {
					return p.err
				}
				for _, m := range p.points {
					if err := g.add(m); err != nil {
						return err
					}
				}
			}
		}
		<-slots
		if err := g.end(); err != nil {
			return err
		}
	}
	return nil
}

// history reads one metric of one run, page by page.
func (s *Server) history(ctx context.Context, run, key string, fn func([]track.Metric) error) error {
	return pages(func(token string) (string, error) {
		var answer struct {
			Metrics []wireMetric `json:"metrics"`
			Next    string       `json:"next_page_token"`
		}
		q := url.Values{"run_id": {run}, "metric_key": {key}, "max_results": {strconv.Itoa(pointsAtOnce)}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := s.get(ctx, api+"metrics/get-history", q, &answer); err != nil {
			return "", err
		}
		points := make([]track.Metric, len(answer.Metrics))
		for i, m := range answer.Metrics {
			points[i] = m.track()
			points[i].Run = ""
		}
		return answer.Next, fn(points)
	})
}

// LoggedModels implements Source; servers before 3.0 have none. Which points
// of runs are of a logged model is told here only, so it is remembered for the
// runs of the experiment, which are read next.
func (s *Server) LoggedModels(ctx context.Context, experiment string, fn func(LoggedModel) error) error {
	s.measured = map[string]map[pointKey]measured{}
	err := pages(func(token string) (string, error) {
		var answer struct {
			Models []wireLoggedModel `json:"models"`
			Next   string            `json:"next_page_token"`
		}
		q := map[string]any{"experiment_ids": []string{experiment}, "max_results": 50}
		if token != "" {
			q["page_token"] = token
		}
		if err := s.post(ctx, api+"logged-models/search", q, &answer); err != nil {
			return "", err
		}
		for _, w := range answer.Models {
			m := w.model(experiment)
			for _, p := range m.Metrics {
				if s.measured[p.Run] == nil {
					s.measured[p.Run] = map[pointKey]measured{}
				}
				s.measured[p.Run][pointKey{p.Key, p.At.UnixMilli(), p.Step}] = measured{m.ID, p.DatasetName, p.DatasetDigest}
			}
			if err := fn(m); err != nil {
				return "", err
			}
		}
		return answer.Next, nil
	})
	if isMissing(err) {
		return nil
	}
	return err
}

// Models implements Source. A search leaves prompts out unless it is for prompts.
func (s *Server) Models(ctx context.Context, fn func(registry.Model) error) error {
	seen := map[string]registry.Model{}
	for _, filter := range []string{"", "tags.`" + TagPrompt + "` = 'true'"} {
		err := pages(func(token string) (string, error) {
			var answer struct {
				Models []wireModel `json:"registered_models"`
				Next   string      `json:"next_page_token"`
			}
			q := url.Values{"max_results": {"100"}}
			if filter != "" {
				q.Set("filter", filter)
			}
			if token != "" {
				q.Set("page_token", token)
			}
			err := s.get(ctx, api+"registered-models/search", q, &answer)
			for _, w := range answer.Models {
				m := registry.Model{Name: w.Name, Description: w.Description, CreatedAt: w.Created.time(), UpdatedAt: w.Updated.time(), Tags: mapOf(w.Tags)}
				for _, a := range w.Aliases {
					n, err := strconv.Atoi(string(a.Version))
					if err != nil {
						return "", err
					}
					m.Aliases = append(m.Aliases, registry.Alias{Model: w.Name, Name: a.Alias, Number: n})
				}
				slices.SortFunc(m.Aliases, func(a, b registry.Alias) int { return cmp.Compare(a.Name, b.Name) })
				seen[m.Name] = m
			}
			return answer.Next, err
		})
		if err != nil {
			return err
		}
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if err := fn(seen[n]); err != nil {
			return err
		}
	}
	return nil
}

// Versions implements Source.
func (s *Server) Versions(ctx context.Context, model string, fn func(Version) error) error {
	quote := "'"
	if strings.Contains(model, "'") {
		quote = `"`
	}
	byNumber := map[int]Version{}
	for _, more := range []string{"", " AND tags.`" + TagPrompt + "` = 'true'"} {
		err := pages(func(token string) (string, error) {
			var answer struct {
				Versions []wireVersion `json:"model_versions"`
				Next     string        `json:"next_page_token"`
			}
			q := url.Values{"max_results": {"10000"}, "filter": {"name=" + quote + model + quote + more}}
			if token != "" {
				q.Set("page_token", token)
			}
			err := s.get(ctx, api+"model-versions/search", q, &answer)
			for _, w := range answer.Versions {
				v, err := s.toVersion(w)
				if err != nil {
					return "", err
				}
				byNumber[v.Number] = v
			}
			return answer.Next, err
		})
		if err != nil {
			return err
		}
	}
	numbers := make([]int, 0, len(byNumber))
	for n := range byNumber {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		v := byNumber[n]
		if err := s.place(ctx, &v); err != nil {
			return err
		}
		if err := fn(v); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) toVersion(w wireVersion) (v Version, err error) {
	if v.Number, err = strconv.Atoi(string(w.Version)); err != nil {
		return v, lastro.Errorf(lastro.EServer, "the server says that %q is a version", string(w.Version))
	}
	v.Model, v.CreatedAt, v.UpdatedAt, v.User = w.Name, w.Created.time(), w.Updated.time(), w.User
	v.Stage, v.Description, v.Source, v.TrackedRun, v.Tags = cmp.Or(w.Stage, "None"), w.Description, w.Source, w.Run, mapOf(w.Tags)
	v.Root = v.Source
	if w.Status != "" && w.Status != "READY" {
		v.Unready = strings.TrimSpace(w.Status + " " + w.Message)
	}
	v.finish()
	v.LoggedModel = cmp.Or(v.LoggedModel, w.Model)
	return v, nil
}

// place asks where the files of a version are, unless its source says so.
func (s *Server) place(ctx context.Context, v *Version) error {
	if v.Root == "" || isSymbolic(v.Root) || strings.HasPrefix(v.Root, artifactScheme) {
		return nil
	}
	var answer struct {
		URI string `json:"artifact_uri"`
	}
	err := s.get(ctx, api+"model-versions/get-download-uri", url.Values{"name": {v.Model}, "version": {strconv.Itoa(v.Number)}}, &answer)
	if err == nil && answer.URI != "" {
		v.Root = answer.URI
	}
	return err
}

// isSymbolic reports whether an address names a run, a logged model or another version.
func isSymbolic(root string) bool {
	return strings.HasPrefix(root, "runs:/") || strings.HasPrefix(root, "models:/")
}

const (
	artifactScheme = "mlflow-artifacts:"
	viaRun         = "run:" // artifacts that only the server reads, by the run's id
)

// served is the path of a root below the server's own artifacts.
func served(root string) (string, bool) {
	rest, ok := strings.CutPrefix(root, artifactScheme)
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutPrefix(rest, "//"); ok { // with a host
		_, rest, _ = strings.Cut(rest, "/")
	}
	return strings.Trim(rest, "/"), true
}

type wireFile struct {
	Path  string  `json:"path"`
	IsDir bool    `json:"is_dir"`
	Size  whole64 `json:"file_size"`
}

// Files implements Source.
func (s *Server) Files(ctx context.Context, root string, fn func(File) error) error {
	at, ok := served(root)
	id, byRun := strings.CutPrefix(root, viaRun)
	if !ok && !byRun {
		return &ErrNoFiles{root, "the server does not hand these files out; import from its database file, with its folder of artifacts"}
	}
	list := func(dir string) (files []wireFile, err error) {
		if byRun {
			return s.filesOfRun(ctx, id, dir)
		}
		var answer struct{ Files []wireFile }
		err = s.get(ctx, "/api/2.0/mlflow-artifacts/artifacts", url.Values{"path": {path.Join(at, dir)}}, &answer)
		for i := range answer.Files {
			answer.Files[i].Path = path.Join(dir, path.Base(answer.Files[i].Path))
		}
		return answer.Files, err
	}
	return walkFiles(list, "", fn)
}

func walkFiles(list func(string) ([]wireFile, error), dir string, fn func(File) error) error {
	files, err := list(dir)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b wireFile) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range files {
		if len(f.Path) <= len(dir) || strings.Count(f.Path, "/") > 200 {
			return lastro.Errorf(lastro.EServer, "the server lists %q in the folder %q", f.Path, dir)
		}
		if f.IsDir {
			err = walkFiles(list, f.Path, fn)
		} else {
			err = fn(File{Path: f.Path, Size: int64(f.Size)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) filesOfRun(ctx context.Context, id, dir string) (files []wireFile, err error) {
	err = pages(func(token string) (string, error) {
		var answer struct {
			Files []wireFile
			Next  string `json:"next_page_token"`
		}
		q := url.Values{"run_id": {id}}
		if dir != "" {
			q.Set("path", dir)
		}
		if token != "" {
			q.Set("page_token", token)
		}
		err := s.get(ctx, api+"artifacts/list", q, &answer)
		files = append(files, answer.Files...)
		return answer.Next, err
	})
	return files, err
}

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Open implements Source.
func (s *Server) Open(ctx context.Context, root, file string) (io.ReadCloser, error) {
	var at string
	if dir, ok := served(root); ok {
		at = "/api/2.0/mlflow-artifacts/artifacts/" + (&url.URL{Path: path.Join(dir, file)}).EscapedPath()
	} else if id, ok := strings.CutPrefix(root, viaRun); ok && hexID.MatchString(id) {
		at = "/get-artifact?" + url.Values{"run_uuid": {id}, "path": {file}}.Encode()
	} else {
		return nil, fmt.Errorf("%s is not an artifact of this server", root)
	}
	var err error
	for try := range 4 {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(300 * time.Millisecond << try):
			}
		}
		var res *http.Response
		if res, err = s.ask(ctx, http.MethodGet, at, nil); err != nil {
			err = s.away(err)
			continue
		}
		if res.StatusCode < 400 {
			return res.Body, nil
		}
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		res.Body.Close()
		if err = s.refused(at, res.StatusCode, raw); res.StatusCode < 500 && res.StatusCode != 429 {
			break
		}
	}
	return nil, err
}
