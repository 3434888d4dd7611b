// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"lastro"
	"lastro/auth"
)

// maxBody bounds a JSON body: 1,000 params of 6,000 characters fit.
const maxBody = 10 << 20

type empty struct{}

// serve makes a handler of a function from request to answer. The request is
// filled from the JSON body, else from the query, and then from the path.
// Unknown fields are ignored, as the protocol's own server does.
func serve[Req any](h *handler, f func(context.Context, Req) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if err := decode(w, r, &req); err != nil {
			h.fail(w, r, err)
			return
		}
		answer, err := f(r.Context(), req)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		if long, ok := answer.(stream); ok {
			h.sendLong(w, r, long)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// stream is an answer that is written while it is made. What it writes is JSON.
type stream func(w *bufio.Writer) error

// beginning knows whether anything of an answer is out.
type beginning struct {
	w   http.ResponseWriter
	yes bool
}

func (b *beginning) Write(p []byte) (int, error) {
	if !b.yes {
		b.yes = true
		b.w.Header().Set("Content-Type", "application/json")
	}
	return b.w.Write(p)
}

func (h *handler) sendLong(w http.ResponseWriter, r *http.Request, long stream) {
	begun := &beginning{w: w}
	out := bufio.NewWriterSize(begun, 64<<10)
	err := long(out)
	switch {
	case err != nil && !begun.yes:
		h.fail(w, r, err)
		return
	case err == nil:
		err = out.Flush()
	}
	if err != nil {
		if h.Log != nil && r.Context().Err() == nil {
			h.Log.ErrorContext(r.Context(), "answer not sent whole", "path", r.URL.Path, "err", err)
		}
		// The header is out: only a broken connection tells the client that this is not all.
		panic(http.ErrAbortHandler)
	}
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error_code":"INTERNAL_ERROR","message":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func decode(w http.ResponseWriter, r *http.Request, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	if r.Method == http.MethodGet {
		if err := fill(v, func(name string) []string { return r.URL.Query()[name] }); err != nil {
			return err
		}
	} else {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return err
		}
		if len(body) > 0 {
			if err := json.Unmarshal(body, dst); err != nil {
				return badJSON(err)
			}
			if err := withoutZeros(body); err != nil {
				return err
			}
		}
	}
	if err := fill(v, func(name string) []string {
		if value := r.PathValue(name); value != "" {
			return []string{value}
		}
		return nil
	}); err != nil {
		return err
	}
	return needed(v)
}

// needed refuses a request without a field that its type marks need:"yes". A
// run has two names on the wire, and either does.
func needed(v reflect.Value) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if err := needed(v.Field(i)); err != nil {
				return err
			}
			continue
		}
		if f.Tag.Get("need") != "yes" || !v.Field(i).IsZero() {
			continue
		}
		if other := v.FieldByName("UUID"); f.Name == "ID" && other.IsValid() && !other.IsZero() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return missing(name)
	}
	return nil
}

func badJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return lastro.Errorf(lastro.EInvalid, "field %q cannot be a %s", wrong.Field, wrong.Value)
	}
	var mine *lastro.Error
	if errors.As(err, &mine) {
		return mine
	}
	return lastro.Errorf(lastro.EInvalid, "the body is not the JSON that this endpoint reads: %v", err)
}

// fill sets the fields of a request by their JSON names.
func fill(v reflect.Value, get func(name string) []string) error {
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		values := get(name)
		if name == "" || len(values) == 0 {
			continue
		}
		if err := textsWithoutZeros(values); err != nil {
			return err
		}
		if err := setField(v.Field(i), name, values); err != nil {
			return err
		}
	}
	return nil
}

func setField(f reflect.Value, name string, values []string) error {
	switch f.Interface().(type) {
	case string, viewType:
		f.SetString(values[0])
	case []string:
		f.Set(reflect.ValueOf(values))
	case int64s:
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil {
			return lastro.Errorf(lastro.EInvalid, "%s %q is not a number", name, values[0])
		}
		f.SetInt(n)
	case *int64s:
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil {
			return lastro.Errorf(lastro.EInvalid, "%s %q is not a number", name, values[0])
		}
		f.Set(reflect.ValueOf(new(int64s(n))))
	}
	return nil
}

// refusal is an error as the protocol spells it.
type refusal struct {
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

// fail answers an error and logs those that are ours. It is the one place that
// maps codes to the protocol's.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code := statusOf(err)
	if status >= 500 && h.Log != nil {
		h.Log.ErrorContext(r.Context(), "mlflow request failed", slog.String("path", r.URL.Path), "err", err)
	}
	writeJSON(w, status, refusal{code, message(err, status)})
}

// Refuse answers a request that the door in front of this one turned away.
func Refuse(w http.ResponseWriter, _ *http.Request, status int, err error) {
	code := map[int]string{401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND"}[status]
	switch {
	case code != "":
	case status >= 500:
		code = "INTERNAL_ERROR"
	default:
		code = "INVALID_PARAMETER_VALUE"
	}
	writeJSON(w, status, refusal{code, message(err, status)})
}

func statusOf(err error) (int, string) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, "INVALID_PARAMETER_VALUE"
	}
	var full *lastro.Error
	if errors.As(err, &full) && full.ID == "L0410" {
		return http.StatusInsufficientStorage, "RESOURCE_EXHAUSTED" // a full disk: clients repeat a 500 for minutes
	}
	if full != nil && full.ID == "L0721" {
		return http.StatusConflict, "RESOURCE_CONFLICT" // somebody else was faster: nothing to repeat blindly
	}
	switch lastro.CodeOf(err) {
	case lastro.EInvalid, lastro.EFailed, lastro.EUnsupported:
		return http.StatusBadRequest, "INVALID_PARAMETER_VALUE"
	case lastro.ENotFound:
		return http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST"
	case lastro.EConflict:
		return http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS"
	case lastro.EDenied, lastro.EGate, lastro.EWaiting:
		return http.StatusForbidden, "PERMISSION_DENIED"
	case lastro.EServer:
		return http.StatusServiceUnavailable, "TEMPORARILY_UNAVAILABLE"
	}
	return http.StatusInternalServerError, "INTERNAL_ERROR"
}

// message is what a person reads in the client's exception: what, and what to
// do next. Faults of ours do not leak their chain.
func message(err error, status int) string {
	var e *lastro.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &e):
		text := e.Msg
		for _, note := range e.Notes {
			text += "\n" + note
		}
		if e.Hint != "" {
			text += "\nhint: " + e.Hint
		}
		return text
	case status >= 500 || err == nil:
		return "lastro failed to answer; its log says why"
	}
	return err.Error()
}

func (h *handler) version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, ProtocolVersion)
}

func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "OK")
}

func (h *handler) serverInfo(_ context.Context, _ empty) (any, error) {
	return map[string]any{"store_type": "lastro", "version": h.Version, "workspaces_enabled": false, "trace_archival_enabled": false,
		"multipart_uploads_enabled": false, "multipart_downloads_enabled": false, "features_enabled": []string{}}, nil
}

func actor(ctx context.Context) lastro.Actor { return auth.IdentityOf(ctx).Actor }
