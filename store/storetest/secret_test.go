// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/secret"
	"lastro/store"
)

// openSecrets returns a service with a key of its own, and the folder of that.
func openSecrets(t *testing.T, db *store.DB) (*secret.Service, string) {
	t.Helper()
	dir := t.TempDir()
	return secret.NewService(store.NewSecret(db), secret.KeyPlace{Own: filepath.Join(dir, "secrets.key")}, lastro.SystemClock{}), dir
}

func TestSecrets(t *testing.T) { Each(t, testSecrets) }

func testSecrets(t *testing.T, db *store.DB) {
	s, dir := openSecrets(t, db)
	ctx, by := t.Context(), lastro.Actor("user:ana")
	if _, err := os.Stat(filepath.Join(dir, "secrets.key")); !os.IsNotExist(err) {
		t.Errorf("a key before there is a secret: %v", err)
	}
	for i, value := range []string{"first value of it", "line one\nline two\n", strings.Repeat("x", secret.MaxBytes)} {
		v, err := s.Set(ctx, by, "WAREHOUSE_URL", value)
		if err != nil || v.Version != i+1 || v.SetBy != by {
			t.Fatalf("set: %+v, %v", v, err)
		}
		got, err := s.Values(ctx, []string{"WAREHOUSE_URL"}, true)
		if err != nil || got["WAREHOUSE_URL"] != value {
			t.Errorf("version %d: %d bytes, %v", i+1, len(got["WAREHOUSE_URL"]), err)
		}
	}
	if err := s.Remove(ctx, by, "WAREHOUSE_URL"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, by, "WAREHOUSE_URL"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if got, err := s.Versions(ctx, []string{"WAREHOUSE_URL", "OTHER"}); err != nil || len(got) != 0 {
		t.Errorf("versions after it was removed: %v, %v", got, err)
	}
	if _, err := s.Values(ctx, []string{"WAREHOUSE_URL"}, true); !lastro.Is(err, lastro.EInvalid) || !strings.Contains(err.Error(), "not set") {
		t.Errorf("a value that is not set: %v", err)
	}
	if v, err := s.Set(ctx, by, "WAREHOUSE_URL", "once more"); err != nil || v.Version != 4 {
		t.Errorf("a number came twice: %+v, %v", v, err)
	}
	if _, err := s.Values(ctx, []string{"WAREHOUSE_URL"}, false); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a fork got a value: %v", err)
	}
	all, err := s.List(ctx)
	if err != nil || len(all) != 1 || all[0].Ref() != "secret:WAREHOUSE_URL@4" || time.Since(all[0].SetAt) > time.Minute {
		t.Errorf("list: %+v, %v", all, err)
	}
	events, err := db.Events(ctx, store.EventFilter{})
	if err != nil || len(events) != 5 || events[3].Verb != "secret.removed" {
		t.Errorf("events: %+v, %v", events, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "secrets.key")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", fi, err)
	}
	// No row holds a value.
	var all64 strings.Builder
	rows, err := db.Query(ctx, `SELECT name, recipient, box, set_by FROM secrets`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, recipient, box, by string
		if err := rows.Scan(&name, &recipient, &box, &by); err != nil {
			t.Fatal(err)
		}
		raw, _ := base64.StdEncoding.DecodeString(box)
		fmt.Fprintln(&all64, name, recipient, box, by, string(raw))
	}
	for _, v := range []string{"once more", base64.StdEncoding.EncodeToString([]byte("once more"))} {
		if strings.Contains(all64.String(), v) || all64.Len() < 100 {
			t.Errorf("the table holds %q, or nothing: %q", v, all64.String())
		}
	}
}

func TestSecretsRefused(t *testing.T) {
	s, dir := openSecrets(t, open(t, sqliteFile(t)))
	for name, tc := range map[string]struct{ name, value, id string }{
		"lower case": {"token", "a value", "L0373"}, "no letter": {"1A", "a value", "L0373"}, "line end": {"A\n", "a value", "L0373"},
		"a step has it": {"PATH", "a value", "L0373"}, "ours": {"LASTRO_X", "a value", "L0373"}, "loader": {"LD_PRELOAD", "a value", "L0373"},
		"short": {"A", "abc", "L0374"}, "long": {"A", strings.Repeat("x", secret.MaxBytes+1), "L0374"}, "NUL": {"A", "abc\x00def", "L0374"}, "blank": {"A", "   \n  ", "L0374"},
	} {
		_, err := s.Set(t.Context(), "user:ana", tc.name, tc.value)
		var e *lastro.Error
		if !errors.As(err, &e) || e.ID != tc.id || (len(tc.value) > 3 && strings.Contains(err.Error(), tc.value)) {
			t.Errorf("%s: %v, want %s", name, err, tc.id)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("a key was made for nothing: %v", entries)
	}
}

func TestSecretKey(t *testing.T) { Each(t, testSecretKey) }

func testSecretKey(t *testing.T, db *store.DB) {
	ctx := t.Context()
	first, dir := openSecrets(t, db)
	own := filepath.Join(dir, "secrets.key")
	if _, err := first.Set(ctx, "user:ana", "A", "value of A"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Set(ctx, "user:ana", "B", "value of B"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	value := func(place secret.KeyPlace) error {
		_, err := secret.NewService(store.NewSecret(db), place, lastro.SystemClock{}).Values(ctx, []string{"A", "B"}, true)
		return err
	}
	other := filepath.Join(dir, "other.key")
	os.WriteFile(other, []byte("AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n"), 0o600) // of age's own README
	both := filepath.Join(dir, "both.key")
	os.WriteFile(both, append([]byte("AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n"), raw...), 0o600)
	bad := filepath.Join(dir, "bad.key")
	os.WriteFile(bad, []byte("hunter2\n"), 0o600)
	for name, tc := range map[string]struct {
		place secret.KeyPlace
		want  string
	}{
		"text":          {secret.KeyPlace{Text: string(raw)}, ""},
		"file":          {secret.KeyPlace{File: own}, ""},
		"new and old":   {secret.KeyPlace{File: both}, ""},
		"another":       {secret.KeyPlace{File: other}, "was sealed for age1"},
		"no such file":  {secret.KeyPlace{File: filepath.Join(dir, "none")}, "cannot be read"},
		"not a key":     {secret.KeyPlace{File: bad}, "holds no key"},
		"own is gone":   {secret.KeyPlace{Own: filepath.Join(dir, "none")}, "is gone"},
		"not a key too": {secret.KeyPlace{Text: "hunter2"}, "LASTRO_AGE_KEY holds no key"},
	} {
		err := value(tc.place)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	// No second key is made beside secrets that it could not open.
	lost := filepath.Join(dir, "lost.key")
	if _, err := secret.NewService(store.NewSecret(db), secret.KeyPlace{Own: lost}, lastro.SystemClock{}).Set(ctx, "user:ana", "C", "value of C"); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("set without the key: %v", err)
	}
	os.Chmod(own, 0o644)
	if err := value(secret.KeyPlace{Own: own}); err == nil || !strings.Contains(err.Error(), "0644") {
		t.Errorf("a key that others can read: %v", err)
	}
	os.Chmod(own, 0o600)
	// Boxes cannot be exchanged, nor changed.
	if err := db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE secrets SET box = (SELECT box FROM secrets AS other WHERE other.name = 'B') WHERE name = 'A'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := value(secret.KeyPlace{Own: own}); !lastro.Is(err, lastro.ETampered) {
		t.Errorf("a box of another secret: %v", err)
	}
	if err := db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE secrets SET box = substr(box, 1, length(box) - 8)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := value(secret.KeyPlace{Own: own}); !lastro.Is(err, lastro.ETampered) {
		t.Errorf("a box that was cut: %v", err)
	}
}
