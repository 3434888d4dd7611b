// SPDX-License-Identifier: Apache-2.0

// Package secret keeps named secrets and hides them: values are encrypted at
// rest with age, given only to steps that name them, and masked in whatever
// steps print or report. Who may set one is decided by the doors; how a value
// reaches a process by the executors.
package secret

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"lastro"
)

// Bounds of a value in bytes. A shorter one would be found by chance in
// ordinary text, so it could not be masked; a longer one fits no environment.
const (
	MinBytes = 4
	MaxBytes = 64 << 10
)

// Secret is what may be shown of a secret.
type Secret struct {
	Name    string       `json:"name"`
	Version int          `json:"version"` // from 1; no number comes twice for one name
	SetAt   time.Time    `json:"set_at"`
	SetBy   lastro.Actor `json:"set_by"`
}

// Ref returns "secret:NAME@VERSION".
func (s Secret) Ref() lastro.Ref { return lastro.NewRef("secret", s.Name, fmt.Sprint(s.Version)) }

// Sealed is a secret as it is stored. Of a removed one the value is gone and
// the number stays.
type Sealed struct {
	Secret
	Recipient string // public half of the key that opens it: "age1..."
	Box       []byte // an age file that holds name, version and value
}

// Store keeps sealed secrets; events commit with the change.
type Store interface {
	// PutSecret makes seal's answer the newest version of name; seal is called
	// within the transaction with the number that it gets. Older values are dropped.
	PutSecret(ctx context.Context, name string, seal func(version int) (Sealed, []lastro.Event, error)) error
	// RemoveSecret drops the value; lastro.ENotFound when none is set.
	RemoveSecret(ctx context.Context, name string, events ...lastro.Event) error
	// Secrets returns those that are set, by name; names nil = all.
	Secrets(ctx context.Context, names []string) ([]Sealed, error)
}

var namePattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,127}$`)

// reserved are variables that a step has already and works with.
var reserved = []string{"HOME", "LANG", "PATH", "PWD", "SHELL", "TMPDIR", "TZ", "USER"}

// CheckName refuses what cannot be the name of a secret.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0373", Msg: fmt.Sprintf("%q cannot name a secret", name),
			Hint: "it becomes an environment variable: capital letters, digits and _, beginning with a letter"}
	}
	if slices.Contains(reserved, name) || strings.HasPrefix(name, "LASTRO_") || strings.HasPrefix(name, "LD_") {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0373", Msg: fmt.Sprintf("%s is a variable that steps have already", name), Hint: "take another name, such as MY_" + name}
	}
	return nil
}

// checkValue refuses what cannot be kept, given or masked; the error never
// shows it.
func checkValue(name, value string) error {
	bad := func(msg, hint string) error {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0374", Msg: fmt.Sprintf("the value of %s %s", name, msg), Hint: hint}
	}
	switch {
	case value == "":
		return bad("is empty", "give it on standard input, or type it at a terminal")
	case len(value) < MinBytes:
		return bad(fmt.Sprintf("has %d bytes: fewer than %d cannot be told from ordinary text, so logs could not be masked", len(value), MinBytes), "use a longer one")
	case len(value) > MaxBytes:
		return bad(fmt.Sprintf("has %d bytes; %d is the most", len(value), MaxBytes), "keep a file elsewhere and make the key to it the secret")
	case strings.ContainsRune(value, 0):
		return bad("has a NUL byte, which no environment variable can hold", "set it in base64 and decode it in the step")
	case strings.TrimSpace(value) == "":
		return bad("is blank", "")
	}
	return nil
}
