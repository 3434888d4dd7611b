// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"

	"lastro/auth"
	"lastro/pipeline"
)

// runAction is a button of a run's page.
type runAction struct {
	Label string // key of the catalogue
	Where string
	Class string
}

// actionsOf are the buttons that this reader may press now.
func (p *Pages) actionsOf(who auth.Identity, run pipeline.Run) []runAction {
	if !who.May(auth.WriteRuns) {
		return nil
	}
	where := fmt.Sprintf("/runs/%d/", run.Number)
	switch {
	case !run.State.Ended() && p.Cancel != nil:
		return []runAction{{"run.cancel", where + "cancel", "stop"}}
	case run.State.Ended() && run.State != pipeline.Succeeded && p.Retry != nil:
		return []runAction{{"run.retry", where + "retry", "main"}}
	}
	return nil
}

// cancelRun stops a run and shows it again.
func (p *Pages) cancelRun(w http.ResponseWriter, r *http.Request) {
	number, err := runNumber(r)
	if err == nil {
		err = p.Cancel(r.Context(), number, auth.IdentityOf(r.Context()).Actor)
	}
	p.acted(w, r, number, err)
}

// retryRun lets a run try again what did not end well and shows it again.
func (p *Pages) retryRun(w http.ResponseWriter, r *http.Request) {
	number, err := runNumber(r)
	if err == nil {
		err = p.Retry(r.Context(), number, auth.IdentityOf(r.Context()).Actor)
	}
	p.acted(w, r, number, err)
}

func (p *Pages) acted(w http.ResponseWriter, r *http.Request, number int64, err error) {
	if err != nil {
		p.fail(w, r, err)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/runs/%d", number), http.StatusSeeOther)
}
