// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// static answers with a file of the binary, gzipped where the browser takes it.
func (p *Pages) static(w http.ResponseWriter, r *http.Request, files fs.FS) {
	head := w.Header()
	head.Set("Cache-Control", "max-age=300")
	if strings.HasPrefix(r.URL.Path, "/static/vendor/") { // their names say which version they are
		head.Set("Cache-Control", "max-age=31536000, immutable")
	}
	head.Set("Vary", "Accept-Encoding")
	name := strings.TrimPrefix(r.URL.Path, "/static/")
	if packed := p.gzipped(files, name); packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		head.Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(packed))
		return
	}
	http.StripPrefix("/static/", http.FileServerFS(files)).ServeHTTP(w, r)
}

// gzipped is a text file, packed once; nil for what is not there.
func (p *Pages) gzipped(files fs.FS, name string) []byte {
	if ext := path.Ext(name); ext != ".css" && ext != ".js" {
		return nil
	}
	if have, ok := p.packed.Load(name); ok {
		return have.([]byte)
	}
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return nil
	}
	var b bytes.Buffer
	out, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a known one
	_, _ = out.Write(raw)                                   // into memory
	_ = out.Close()
	p.packed.Store(name, b.Bytes())
	return b.Bytes()
}
