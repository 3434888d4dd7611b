// SPDX-License-Identifier: Apache-2.0

package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/trigger"
)

// gitlab: https://docs.gitlab.com/user/project/integrations/webhooks/ and
// .../webhook_events/. A hook with a signing token (GitLab 18 and later) signs
// ID, time and body as the Standard Webhooks specification says; one with a
// secret token sends the token itself.
var gitlab = provider{name: "gitlab", event: "X-Gitlab-Event", signs: []string{"X-Gitlab-Token", "Webhook-Signature"}, read: readGitLab, verify: verifyGitLab}

// standardPrefix begins a signing token of Standard Webhooks; the key follows in base64.
const standardPrefix = "whsec_"

// signatureAge bounds how far the time of a signature may be from ours.
const signatureAge = 5 * time.Minute

func verifyGitLab(head http.Header, body []byte, secret string, now time.Time) (string, bool) {
	if secret == "" {
		return "", false
	}
	// A signing token never counts as a secret token, so nobody can fall back to the weaker way.
	if head.Get("Webhook-Signature") != "" || strings.HasPrefix(secret, standardPrefix) {
		return head.Get("Webhook-Id"), signedStandard(head, body, secret, now)
	}
	id := head.Get("Idempotency-Key")
	if id == "" {
		id = head.Get("X-Gitlab-Event-UUID")
	}
	// Digests have one length, so that the comparison does not tell that of the token.
	got, want := sha256.Sum256([]byte(head.Get("X-Gitlab-Token"))), sha256.Sum256([]byte(secret))
	return id, subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// signedStandard checks a signature of the Standard Webhooks specification.
func signedStandard(head http.Header, body []byte, secret string, now time.Time) bool {
	key := []byte(secret)
	if coded, ok := strings.CutPrefix(secret, standardPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(coded); err != nil {
			return false
		}
	}
	seconds, err := strconv.ParseInt(head.Get("Webhook-Timestamp"), 10, 64)
	if err != nil || len(key) == 0 || time.Unix(seconds, 0).Sub(now).Abs() > signatureAge {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(head.Get("Webhook-Id") + "." + head.Get("Webhook-Timestamp") + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	fits := false
	for _, s := range strings.Fields(head.Get("Webhook-Signature")) { // several while a key is being replaced
		coded, ok := strings.CutPrefix(s, "v1,")
		got, err := base64.StdEncoding.DecodeString(coded)
		if ok && err == nil && hmac.Equal(got, want) {
			fits = true
		}
	}
	return fits
}

type gitLabPush struct {
	Ref      string
	Before   string
	After    string
	UserName string `json:"user_username"`
	Commits  []struct {
		ID     string `json:"id"`
		Author struct{ Name, Email string }
	}
}

type gitLabMerge struct {
	User       struct{ Username string }
	Attributes struct {
		IID           int64  `json:"iid"`
		Title         string `json:"title"`
		Action        string `json:"action"`
		OldRev        string `json:"oldrev"`
		SourceBranch  string `json:"source_branch"`
		TargetBranch  string `json:"target_branch"`
		SourceProject int64  `json:"source_project_id"`
		TargetProject int64  `json:"target_project_id"`
		LastCommit    struct {
			ID     string `json:"id"`
			Author struct{ Name, Email string }
		} `json:"last_commit"`
		Source struct {
			Path string `json:"path_with_namespace"`
		} `json:"source"`
	} `json:"object_attributes"`
}

func readGitLab(event string, body []byte) (heard, error) {
	switch event {
	case "Push Hook", "Tag Push Hook":
		var p gitLabPush
		if err := json.Unmarshal(body, &p); err != nil {
			return heard{}, lastro.Errorf(lastro.EInvalid, "the payload of the push cannot be read: %v", err)
		}
		author := ""
		for _, c := range p.Commits {
			if c.ID == p.After {
				author = c.Author.Name + " <" + c.Author.Email + ">"
			}
		}
		return changeOf(p.Ref, p.Before, p.After, person("git", p.UserName), author)
	case "Merge Request Hook":
		var p gitLabMerge
		if err := json.Unmarshal(body, &p); err != nil {
			return heard{}, lastro.Errorf(lastro.EInvalid, "the payload of the merge request cannot be read: %v", err)
		}
		a := p.Attributes
		// An update brings code only when it names the commit of before.
		if a.Action != "open" && a.Action != "reopen" && (a.Action != "update" || a.OldRev == "") {
			return heard{nothing: "nothing starts by the action " + clip(a.Action) + " of a merge request"}, nil
		}
		out := trigger.Proposal{Number: a.IID, Title: a.Title, Head: a.LastCommit.ID, Base: a.TargetBranch, Branch: a.SourceBranch,
			Author: a.LastCommit.Author.Name + " <" + a.LastCommit.Author.Email + ">", Actor: person("git", p.User.Username)}
		out.Fork = a.SourceProject == 0 || a.SourceProject != a.TargetProject
		if out.Fork {
			out.From = a.Source.Path
		}
		return checkProposal(out)
	}
	return heard{nothing: "nothing starts by the event " + clip(event)}, nil
}
