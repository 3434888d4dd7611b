// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"net/http"
	"strconv"
	"strings"

	"lastro/blob"
)

// part is the bytes of a file that an answer holds: [from, from+length).
type part struct{ from, length int64 }

// etag names the bytes of a file: the digest.
func etag(f blob.Entry) string { return `"` + string(f.Digest) + `"` }

// asked reads the range that a request wants of a file and sets the headers
// that answer it. ok is false when nothing but the status is left to send: the
// client has the file already, or asks for bytes that it does not have.
// Several ranges at once are answered by the whole file, as HTTP allows.
func asked(head http.Header, r *http.Request, f blob.Entry) (status int, p part, ok bool) {
	head.Set("ETag", etag(f))
	head.Set("Accept-Ranges", "bytes")
	whole := part{0, f.Size}
	if match := r.Header.Get("If-None-Match"); match != "" && (match == "*" || strings.Contains(match, etag(f))) {
		return http.StatusNotModified, whole, false
	}
	spec, isRange := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if since := r.Header.Get("If-Range"); !isRange || strings.Contains(spec, ",") || since != "" && since != etag(f) {
		return http.StatusOK, whole, true
	}
	p, valid := oneRange(strings.TrimSpace(spec), f.Size)
	if !valid {
		return http.StatusOK, whole, true
	}
	if p.length <= 0 {
		head.Set("Content-Range", "bytes */"+strconv.FormatInt(f.Size, 10))
		return http.StatusRequestedRangeNotSatisfiable, whole, false
	}
	head.Set("Content-Range", "bytes "+strconv.FormatInt(p.from, 10)+"-"+strconv.FormatInt(p.from+p.length-1, 10)+"/"+strconv.FormatInt(f.Size, 10))
	return http.StatusPartialContent, p, true
}

// oneRange reads "5-9", "5-" or "-5" of so many bytes; a length that is not
// positive asks for what is not there.
func oneRange(spec string, size int64) (p part, valid bool) {
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return part{}, false
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 62)
		n = min(n, uint64(size))
		return part{size - int64(n), int64(n)}, err == nil
	}
	from, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return part{}, false
	}
	to := uint64(size) - 1
	if last != "" {
		if to, err = strconv.ParseUint(last, 10, 62); err != nil || to < from {
			return part{}, false
		}
	}
	return part{int64(from), min(int64(to)+1, size) - int64(from)}, true
}

// noMultipart answers a client that wants to upload a file in parts, which
// MLflow's own server can for some stores: clients know the sentence, and send
// the file in one piece.
func (h *handler) noMultipart(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotImplemented, refusal{"NOT_IMPLEMENTED", "Multipart upload is not supported for the current artifact repository: send the file whole, of any size"})
}

func (h *handler) artifactEndpoints() []endpoint {
	var list []endpoint
	for _, what := range []string{"create", "complete", "abort"} {
		list = append(list, endpoint{"POST", "/2.0/mlflow-artifacts/mpu/" + what + "/{path...}", writeT, h.noMultipart, false})
	}
	return list
}
