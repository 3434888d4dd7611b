// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"io"
	"mime"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"

	"lastro"
	"lastro/blob"
	"lastro/track"
)

// scheme begins every artifact URI that this server gives out or accepts.
const scheme = "mlflow-artifacts:/"

// treeRoot is where the folders of registered versions are read:
// "versions/HEX/...", with the digest of the tree.
const treeRoot = "versions/"

func treeURI(d lastro.Digest) string { return scheme + treeRoot + d.Hex() }

// fileInfo is one entry of a listing; Path is relative to what was asked for
// by the artifact listing, and to the root by the run's.
type fileInfo struct {
	Path  string `json:"path"`
	IsDir bool   `json:"is_dir"`
	Size  int64s `json:"file_size,omitempty"`
}

type artifactRequest struct {
	Path string `json:"path"`
}

// listArtifacts lists the folder at path, one level deep, with names relative
// to it. A path that does not exist, or is a file, has no entries.
func (h *handler) listArtifacts(ctx context.Context, req artifactRequest) (any, error) {
	files, err := h.filesBelow(ctx, strings.Trim(req.Path, "/"))
	if err != nil {
		return nil, err
	}
	return map[string][]fileInfo{"files": level(files, "")}, nil
}

type listRequest struct {
	ID   string `json:"run_id" need:"yes"`
	UUID string `json:"run_uuid"`
	Path string `json:"path"`
}

func (h *handler) listRunArtifacts(ctx context.Context, req listRequest) (any, error) {
	r, err := h.Track.Run(ctx, runID{req.ID, req.UUID}.String())
	if err != nil {
		return nil, err
	}
	return h.listBelow(ctx, track.RunRoot(r.ExperimentID, r.ID), req.Path)
}

// listBelow lists dir below an artifact root; names are relative to the root.
func (h *handler) listBelow(ctx context.Context, root, dir string) (any, error) {
	dir = strings.Trim(dir, "/")
	at := root
	if dir != "" {
		at += "/" + dir
	}
	files, err := h.filesBelow(ctx, at)
	if err != nil {
		return nil, err
	}
	return struct {
		Root  string     `json:"root_uri"`
		Files []fileInfo `json:"files"`
	}{scheme + root, level(files, dir)}, nil
}

// level reduces files to the entries one level below, each with prefix before its name.
func level(files []blob.Entry, prefix string) []fileInfo {
	out := []fileInfo{}
	seen := map[string]bool{}
	for _, f := range files {
		name, _, deeper := strings.Cut(f.Path, "/")
		if seen[name] {
			continue
		}
		seen[name] = true
		info := fileInfo{Path: path.Join(prefix, name), IsDir: deeper || f.Dir}
		if !info.IsDir {
			info.Size = int64s(f.Size)
		}
		out = append(out, info)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// filesBelow returns every file below dir, with paths relative to it.
func (h *handler) filesBelow(ctx context.Context, dir string) ([]blob.Entry, error) {
	if err := track.CheckPath(dir); err != nil {
		return nil, err
	}
	if digest, below, ok, err := h.versionTree(ctx, dir); ok || err != nil {
		if err != nil {
			return nil, err
		}
		return h.treeBelow(ctx, digest, below)
	}
	list, err := h.Track.Artifacts(ctx, dir)
	out := make([]blob.Entry, len(list))
	for i, a := range list {
		out[i] = blob.Entry{Path: strings.TrimPrefix(a.Path, dir+"/"), Digest: a.Digest, Size: a.Size}
	}
	return out, err
}

func (h *handler) treeBelow(ctx context.Context, digest lastro.Digest, dir string) ([]blob.Entry, error) {
	entries, err := h.Blobs.Tree(ctx, digest)
	if err != nil || dir == "" {
		return entries, err
	}
	var out []blob.Entry
	for _, e := range entries {
		if below, ok := strings.CutPrefix(e.Path, dir+"/"); ok {
			e.Path = below
			out = append(out, e)
		}
	}
	return out, nil
}

// versionTree splits "versions/HEX/below". Only trees that a version is made of
// are shown: other trees of the store (data, with columns that not everybody
// may see) are not this door's to give.
func (h *handler) versionTree(ctx context.Context, p string) (digest lastro.Digest, below string, ok bool, err error) {
	rest, ok := strings.CutPrefix(p, treeRoot)
	if !ok {
		return "", "", false, nil
	}
	hex, below, _ := strings.Cut(rest, "/")
	digest, err = lastro.ParseDigest("sha256:" + hex)
	if err != nil {
		return "", "", true, lastro.Errorf(lastro.ENotFound, "there is no artifact %q", p)
	}
	known, err := h.Registry.HasDigest(ctx, digest)
	if err == nil && !known {
		err = lastro.Errorf(lastro.ENotFound, "no registered version is made of %s", digest.Short())
	}
	return digest, below, true, err
}

// fileAt returns the one file at a path.
func (h *handler) fileAt(ctx context.Context, p string) (blob.Entry, error) {
	if err := track.CheckPath(p); err != nil {
		return blob.Entry{}, err
	}
	digest, below, ok, err := h.versionTree(ctx, p)
	if err != nil {
		return blob.Entry{}, err
	}
	if !ok {
		a, err := h.Track.Artifact(ctx, p)
		return blob.Entry{Path: a.Path, Digest: a.Digest, Size: a.Size}, err
	}
	entries, err := h.Blobs.Tree(ctx, digest)
	if err != nil {
		return blob.Entry{}, err
	}
	for _, e := range entries {
		if e.Path == below && !e.Dir {
			return e, nil
		}
	}
	return blob.Entry{}, lastro.Errorf(lastro.ENotFound, "there is no artifact %q", p)
}

// download streams a file. Whatever it holds, a browser saves it and never
// shows it (SECURITY B12).
func (h *handler) download(w http.ResponseWriter, r *http.Request) {
	file, err := h.fileAt(r.Context(), r.PathValue("path"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	head := w.Header()
	status, part, ok := asked(head, r, file)
	if !ok {
		w.WriteHeader(status)
		return
	}
	body, err := h.Blobs.Open(r.Context(), file.Digest)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer body.Close()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Content-Length", strconv.FormatInt(part.length, 10))
	head.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(file.Path)}))
	head.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	head.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := send(w, body, part, file.Size); err != nil {
		if h.Log != nil {
			h.Log.ErrorContext(r.Context(), "artifact not sent whole", "path", file.Path, "digest", file.Digest, "err", err)
		}
		// The header is out: only a broken connection tells the client that these are not the bytes.
		panic(http.ErrAbortHandler)
	}
}

// send copies a part of a file. What is before it is read too, so that bytes
// up to the end of the file are verified whole.
func send(w io.Writer, body io.Reader, p part, size int64) error {
	if _, err := io.CopyN(io.Discard, body, p.from); err != nil {
		return err
	}
	if p.from+p.length < size {
		_, err := io.CopyN(w, body, p.length)
		return err
	}
	_, err := io.Copy(w, body) // on to the end, where the digest is compared
	return err
}

// upload streams a file into the blob store and names it.
func (h *handler) upload(w http.ResponseWriter, r *http.Request) {
	ctx, name := r.Context(), r.PathValue("path")
	err := h.Track.MayWriteArtifact(ctx, caller(ctx), name)
	if err == nil {
		var digest lastro.Digest
		var size int64
		if digest, size, err = h.Blobs.Put(ctx, r.Body); err == nil {
			err = h.Track.PutArtifact(ctx, caller(ctx), name, digest, size)
		}
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, empty{})
}

func (h *handler) deleteArtifact(ctx context.Context, req artifactRequest) (any, error) {
	return empty{}, h.Track.DeleteArtifacts(ctx, caller(ctx), req.Path)
}
