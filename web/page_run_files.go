// SPDX-License-Identifier: Apache-2.0

package web

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"lastro"
	"lastro/auth"
	"lastro/blob"
	"lastro/pipeline"
)

// Files are the stored bytes that runs read and made; a blob.Store is one.
type Files interface {
	Open(ctx context.Context, d lastro.Digest) (io.ReadCloser, error)
	Stat(ctx context.Context, d lastro.Digest) (blob.Info, error)
	Tree(ctx context.Context, d lastro.Digest) ([]blob.Entry, error)
}

// fileCSP is for what users' steps made, when a browser opens it by itself:
// it is shown in a sandbox and loads nothing.
const fileCSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"

// fileRow is a stored file or folder of a run.
type fileRow struct {
	Name, Path string
	Digest     lastro.Digest
	Size       string
	Link       string // download
}

// fileOf describes a file; links says that this reader may download it.
func fileOf(l Lang, run int64, a pipeline.Artifact, links bool) fileRow {
	row := fileRow{Name: a.Name, Path: a.Path, Digest: a.Digest, Size: bytesWords(l, a.Size)}
	if links {
		row.Link = fmt.Sprintf("/runs/%d/files/%s", run, a.Digest)
	}
	return row
}

// mayDownload reports whether there are files to download and this reader may.
func (p *Pages) mayDownload(r *http.Request) bool {
	return p.Files != nil && auth.IdentityOf(r.Context()).May(auth.ReadData)
}

// bytesWords writes a size as people read it: 512 B, 1.2 KiB, 604.0 MiB.
func bytesWords(l Lang, n int64) string {
	if n < 1024 {
		return l.Int(n) + " B"
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if v /= 1024; v < 1024 || unit == "GiB" {
			return l.Num(v, 1) + " " + unit
		}
	}
	return ""
}

// owned finds a file of a run by its digest: nothing else of the store can be
// asked for here. plot says that only its plots count.
func (p *Pages) owned(r *http.Request, plot bool) (pipeline.Artifact, error) {
	none := lastro.Errorf(lastro.ENotFound, "this run has no such file")
	d, err := lastro.ParseDigest(r.PathValue("digest"))
	if err != nil || p.Files == nil {
		return pipeline.Artifact{}, none
	}
	number, err := runNumber(r)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	steps, err := p.Runs.StepRuns(r.Context(), number)
	if err != nil {
		return pipeline.Artifact{}, err
	}
	for _, s := range steps {
		for _, a := range s.Plots {
			if a.Digest == d {
				return a, nil
			}
		}
		if plot {
			continue
		}
		for _, a := range s.Outputs {
			if a.Digest == d {
				return a, nil
			}
		}
		for _, in := range s.Inputs {
			if in.Digest == d {
				return pipeline.Artifact{Name: in.Name, Path: in.Path, Digest: d}, nil
			}
		}
	}
	return pipeline.Artifact{}, none
}

// download answers with a file of a run, or a folder as a tar archive, to be
// saved and never to be shown.
func (p *Pages) download(w http.ResponseWriter, r *http.Request) {
	a, err := p.owned(r, false)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	info, err := p.Files.Stat(r.Context(), a.Digest)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	name := path.Base(a.Path)
	if info.Tree {
		name += ".tar"
	}
	head := w.Header()
	head.Set("Content-Security-Policy", fileCSP)
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Content-Disposition", attachment(name))
	head.Set("ETag", `"`+string(a.Digest)+`"`)
	if info.Tree {
		err = p.sendTree(r.Context(), w, a.Digest)
	} else {
		head.Set("Content-Length", fmt.Sprint(info.Size))
		err = p.send(r.Context(), w, a.Digest)
	}
	p.sent(r, err)
}

// sent ends an answer that has begun: a status can no longer say that it
// broke, so the connection is cut and the client sees that bytes are missing.
func (p *Pages) sent(r *http.Request, err error) {
	if err == nil {
		return
	}
	p.Log.WarnContext(r.Context(), "file was not sent", "path", r.URL.Path, "err", err)
	panic(http.ErrAbortHandler)
}

func attachment(name string) string {
	if s := mime.FormatMediaType("attachment", map[string]string{"filename": name}); s != "" {
		return s
	}
	return "attachment"
}

func (p *Pages) send(ctx context.Context, w io.Writer, d lastro.Digest) error {
	f, err := p.Files.Open(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func (p *Pages) sendTree(ctx context.Context, w io.Writer, d lastro.Digest) error {
	entries, err := p.Files.Tree(ctx, d)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{Name: e.Path, Mode: 0o644, Size: e.Size, Typeflag: tar.TypeReg}
		switch {
		case e.Dir:
			h.Name, h.Mode, h.Size, h.Typeflag = e.Path+"/", 0o755, 0, tar.TypeDir
		case e.Exec:
			h.Mode = 0o755
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if e.Dir {
			continue
		}
		if err := p.send(ctx, out, e.Digest); err != nil {
			return err
		}
	}
	return out.Close()
}

// pictures are the plots that a browser draws, with their media types.
var pictures = map[string]string{".svg": "image/svg+xml", ".png": "image/png"}

// plotFile answers with a picture that a step drew. A browser shows it as an
// image only, where no script of it runs; opened by itself it is in a sandbox.
func (p *Pages) plotFile(w http.ResponseWriter, r *http.Request) {
	a, err := p.owned(r, true)
	kind := pictures[strings.ToLower(path.Ext(a.Path))]
	if err == nil && kind == "" {
		err = lastro.Errorf(lastro.ENotFound, "this plot is no picture: it is drawn on the run's page")
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Content-Security-Policy", fileCSP)
	head.Set("Content-Type", kind)
	head.Set("Cache-Control", "private, max-age=86400, immutable")
	head.Set("ETag", `"`+string(a.Digest)+`"`)
	p.sent(r, p.send(r.Context(), w, a.Digest))
}
