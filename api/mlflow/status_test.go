// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"lastro"
)

func TestStatusOf(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{lastro.Errorf(lastro.EInvalid, "x"), 400, "INVALID_PARAMETER_VALUE"},
		{lastro.Errorf(lastro.ENotFound, "x"), 404, "RESOURCE_DOES_NOT_EXIST"},
		{lastro.Errorf(lastro.EConflict, "x"), 400, "RESOURCE_ALREADY_EXISTS"},
		{fmt.Errorf("wrapped: %w", lastro.Errorf(lastro.EDenied, "x")), 403, "PERMISSION_DENIED"},
		{&lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "full"}, 507, "RESOURCE_EXHAUSTED"},
		{lastro.Errorf(lastro.ETampered, "x"), 500, "INTERNAL_ERROR"},
		{errors.New("dial /secret/path"), 500, "INTERNAL_ERROR"},
		{&http.MaxBytesError{Limit: 5}, 413, "INVALID_PARAMETER_VALUE"},
	} {
		status, code := statusOf(tc.err)
		if status != tc.status || code != tc.code {
			t.Errorf("statusOf(%v) = %d %s, want %d %s", tc.err, status, code, tc.status, tc.code)
		}
		if text := message(tc.err, status); strings.Contains(text, "/secret") {
			t.Errorf("message(%v) = %q shows what is ours", tc.err, text)
		}
	}
}
