// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"lastro"
	"lastro/track"
)

// trackedFiles are the artifacts of a tracked run, and the one that is looked at.
type trackedFiles struct {
	Rows []artifactRow
	Left string // how many are not listed
	Show *preview
}

type artifactRow struct {
	Name, Size string
	Link       string // download
	Look       string // link that shows it on the page; "" = it cannot be shown
	Shown      bool
}

// preview is a file shown on the page: text, or a picture.
type preview struct {
	Name  string
	Text  string
	Image string // address
	Part  string // says that only the beginning is shown
}

// The sizes of the list and of a text that is shown.
const (
	artifactsShown = 500
	previewBytes   = 64 << 10
)

// images are what a browser draws as a picture, where no script in it runs.
var images = map[string]string{".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}

// texts are the endings of what people write or read as lines.
var texts = []string{".txt", ".md", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".py", ".sql", ".log", ".xml", ".html", ".css", ".js", ".sh", ".r", ".ipynb"}

func (p *Pages) filesOf(r *http.Request, l Lang, run track.Run) (trackedFiles, error) {
	root := track.RunRoot(run.ExperimentID, run.ID)
	list, err := p.Track.Artifacts(r.Context(), root)
	if err != nil {
		return trackedFiles{}, err
	}
	var out trackedFiles
	looked := r.URL.Query().Get("file")
	for i, a := range list {
		name := strings.TrimPrefix(a.Path, root+"/")
		if i >= artifactsShown && name != looked {
			continue
		}
		row := artifactRow{Name: name, Size: bytesWords(l, a.Size)}
		if p.Files != nil {
			row.Link = fileLink(run, name)
			if showable(name) {
				row.Look = with(without(r.URL, "file"), "file", name) + "#artifacts"
			}
		}
		if row.Shown = name == looked && row.Look != ""; row.Shown {
			if out.Show, err = p.look(r.Context(), l, a, name, row.Link); err != nil {
				return out, err
			}
		}
		out.Rows = append(out.Rows, row)
	}
	if left := len(list) - len(out.Rows); left > 0 {
		out.Left = l.T("run.more_found", l.Int(int64(left)))
	}
	return out, nil
}

func fileLink(run track.Run, name string) string {
	u := url.URL{Path: trackedLink(run) + "/files/" + name}
	return u.EscapedPath()
}

func showable(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	if images[ext] != "" || path.Base(name) == "MLmodel" {
		return true
	}
	for _, t := range texts {
		if ext == t {
			return true
		}
	}
	return false
}

// look reads the beginning of a text; pictures are read by the browser.
func (p *Pages) look(ctx context.Context, l Lang, a track.Artifact, name, link string) (*preview, error) {
	v := &preview{Name: name}
	if images[strings.ToLower(path.Ext(name))] != "" {
		v.Image = link + "?show=1"
		return v, nil
	}
	f, err := p.Files.Open(ctx, a.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, previewBytes))
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		v.Part = l.T("tracked.binary")
		return v, nil
	}
	if a.Size > int64(len(raw)) {
		v.Part = l.T("tracked.beginning", bytesWords(l, int64(len(raw))), bytesWords(l, a.Size))
		for len(raw) > 0 && !utf8.Valid(raw[max(0, len(raw)-utf8.UTFMax):]) && !utf8.RuneStart(raw[len(raw)-1]) {
			raw = raw[:len(raw)-1]
		}
	}
	v.Text = plainText(strings.ToValidUTF8(string(raw), "�"))
	return v, nil
}

// trackedFile answers with an artifact. A picture that a page asks for is shown
// as one; everything else is saved and never shown, whatever its content says
// that it is (SECURITY B: artifacts never run in the pages' name).
func (p *Pages) trackedFile(w http.ResponseWriter, r *http.Request) {
	run, err := p.ownRun(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	name := r.PathValue("path")
	a, err := p.Track.Artifact(r.Context(), track.RunRoot(run.ExperimentID, run.ID)+"/"+name)
	if err == nil && p.Files == nil {
		err = lastro.Errorf(lastro.ENotFound, "there is nothing to download here")
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Content-Security-Policy", fileCSP)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("ETag", `"`+string(a.Digest)+`"`)
	if kind := images[strings.ToLower(path.Ext(name))]; kind != "" && r.URL.Query().Get("show") == "1" {
		head.Set("Content-Type", kind)
	} else {
		head.Set("Content-Type", "application/octet-stream")
		head.Set("Content-Disposition", attachment(path.Base(name)))
	}
	p.sent(r, p.send(r.Context(), w, a.Digest))
}
