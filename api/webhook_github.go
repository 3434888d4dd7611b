// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"lastro"
	"lastro/trigger"
)

// github: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
// and https://docs.github.com/en/webhooks/webhook-events-and-payloads
var github = provider{name: "github", event: "X-GitHub-Event", signs: []string{"X-Hub-Signature-256"}, read: readGitHub,
	verify: func(head http.Header, body []byte, secret string, _ time.Time) (string, bool) {
		signature, ok := strings.CutPrefix(head.Get("X-Hub-Signature-256"), "sha256=")
		return head.Get("X-GitHub-Delivery"), ok && signed(signature, body, secret)
	}}

// gitea: https://docs.gitea.com/usage/webhooks; Forgejo signs and sends alike.
var gitea = provider{name: "gitea", event: "X-Gitea-Event", signs: []string{"X-Gitea-Signature"}, read: readGitHub,
	verify: func(head http.Header, body []byte, secret string, _ time.Time) (string, bool) {
		return head.Get("X-Gitea-Delivery"), signed(head.Get("X-Gitea-Signature"), body, secret)
	}}

// gitHubPush is the payload of a push; Gitea's has the same names.
type gitHubPush struct {
	Ref        string
	Before     string
	After      string
	Deleted    bool
	HeadCommit *struct {
		Author struct{ Name, Email string }
	} `json:"head_commit"`
	Sender struct{ Login string }
}

// gitHubPull is the payload of a pull request; Gitea's has the same names.
type gitHubPull struct {
	Action      string
	Number      int64
	PullRequest struct {
		Title string
		User  struct{ Login string }
		Head  gitHubSide
		Base  gitHubSide
	} `json:"pull_request"`
	Sender struct{ Login string }
}

// gitHubSide is one side of a pull request; Repo is missing when it was deleted.
type gitHubSide struct {
	Ref  string
	SHA  string `json:"sha"`
	Repo *struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	}
}

// pulls are the actions that bring new code; Gitea says synchronized.
var pulls = map[string]bool{"opened": true, "reopened": true, "synchronize": true, "synchronized": true}

func readGitHub(event string, body []byte) (heard, error) {
	switch event {
	case "push":
		var p gitHubPush
		if err := json.Unmarshal(body, &p); err != nil {
			return heard{}, lastro.Errorf(lastro.EInvalid, "the payload of the push cannot be read: %v", err)
		}
		author := ""
		if p.HeadCommit != nil {
			author = p.HeadCommit.Author.Name + " <" + p.HeadCommit.Author.Email + ">"
		}
		if p.Deleted {
			p.After = ""
		}
		return changeOf(p.Ref, p.Before, p.After, person("git", p.Sender.Login), author)
	case "pull_request", "pull_request_sync":
		var p gitHubPull
		if err := json.Unmarshal(body, &p); err != nil {
			return heard{}, lastro.Errorf(lastro.EInvalid, "the payload of the pull request cannot be read: %v", err)
		}
		if !pulls[p.Action] {
			return heard{nothing: "nothing starts when a pull request is " + clip(p.Action)}, nil
		}
		head, base := p.PullRequest.Head, p.PullRequest.Base
		out := trigger.Proposal{Number: p.Number, Title: p.PullRequest.Title, Head: head.SHA, Base: base.Ref, Branch: head.Ref,
			Author: p.PullRequest.User.Login, Actor: person("git", p.Sender.Login)}
		// Only what is surely a branch of the same repository is not a fork.
		out.Fork = head.Repo == nil || base.Repo == nil || head.Repo.ID != base.Repo.ID || head.Repo.FullName != base.Repo.FullName || head.Repo.FullName == ""
		if out.Fork && head.Repo != nil {
			out.From = head.Repo.FullName
		}
		return checkProposal(out)
	}
	return heard{nothing: "nothing starts by the event " + clip(event)}, nil
}

// clip bounds a word that a stranger wrote.
func clip(s string) string {
	if len(s) > 60 {
		s = s[:60]
	}
	return strings.ToValidUTF8(s, "?")
}
