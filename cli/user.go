// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"time"

	"lastro"
	"lastro/app"
	"lastro/auth"
)

type userCmd struct {
	Add userAddCmd `cmd:"" help:"Add a person."`
	Ls  userLsCmd  `cmd:"" help:"List people."`
}

type userAddCmd struct {
	Name string `arg:"" name:"NAME"`
	Role string `enum:"viewer,author,approver,admin" default:"viewer" help:"viewer, author, approver or admin."`
}

func (*userAddCmd) Help() string {
	return `Example:
  lastro user add ana --role approver     then: lastro token create --user ana`
}

func (c *userAddCmd) Run(env *Env) error {
	return env.people(func(h app.People) error {
		u, err := h.AddUser(env.Ctx, c.Name, auth.Role(c.Role))
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{"name": u.Name, "role": u.Role})
		}
		env.say("%s %s may now act as %s", env.Out.style("succeeded", "✓"), u.Name, u.Role)
		env.say("\nNext\n  lastro token create --user %s", u.Name)
		return nil
	})
}

type userLsCmd struct{}

func (*userLsCmd) Run(env *Env) error {
	return env.reading(func(h *app.House) error {
		users, err := h.Auth.Users(env.Ctx)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{"users": users})
		}
		var rows [][]string
		for _, u := range users {
			rows = append(rows, []string{u.Name, string(u.Role), ago(u.CreatedAt)})
		}
		for _, line := range table(rows) {
			env.say("%s", line)
		}
		return nil
	})
}

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token; it is shown once."`
	Ls     tokenLsCmd     `cmd:"" help:"List a person's tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token."`
}

type tokenCreateCmd struct {
	User    string        `required:"" help:"Whose token."`
	Expires time.Duration `default:"720h" help:"How long it is good."`
}

func (*tokenCreateCmd) Help() string {
	return `Examples:
  export LASTRO_TOKEN=$(lastro token create --user ana)
  lastro token create --user ci --expires 168h`
}

func (c *tokenCreateCmd) Run(env *Env) error {
	return env.people(func(h app.People) error {
		secret, t, err := h.CreateToken(env.Ctx, c.User, c.Expires)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{"id": t.ID, "token": secret, "user": t.User, "expires_at": t.ExpiresAt})
		}
		env.note("token %s of %s, good until %s; it is not shown again:", t.ID, t.User, t.ExpiresAt.Local().Format("2006-01-02 15:04"))
		env.say("%s", secret)
		return nil
	})
}

type tokenLsCmd struct {
	User string `required:"" help:"Whose tokens."`
}

func (c *tokenLsCmd) Run(env *Env) error {
	return env.reading(func(h *app.House) error {
		tokens, err := h.Auth.Tokens(env.Ctx, c.User)
		if err != nil {
			return err
		}
		var rows [][]string
		var docs []map[string]any
		for _, t := range tokens {
			state := "good until " + t.ExpiresAt.Local().Format("2006-01-02")
			if !t.RevokedAt.IsZero() {
				state = "revoked"
			}
			rows = append(rows, []string{t.ID, t.User, state})
			docs = append(docs, map[string]any{"id": t.ID, "user": t.User, "expires_at": t.ExpiresAt, "revoked": !t.RevokedAt.IsZero()})
		}
		if env.JSON {
			return env.printJSON(map[string]any{"tokens": docs})
		}
		for _, line := range table(rows) {
			env.say("%s", line)
		}
		return nil
	})
}

type tokenRevokeCmd struct {
	ID string `arg:"" name:"ID"`
}

func (c *tokenRevokeCmd) Run(env *Env) error {
	return env.people(func(h app.People) error {
		if err := h.RevokeToken(env.Ctx, c.ID); err != nil {
			return err
		}
		env.note("%s token %s is revoked", env.Term.style("succeeded", "✓"), c.ID)
		return nil
	})
}

// people reaches users and tokens through the living server, or in the state
// directory when none is running.
func (e *Env) people(f func(app.People) error) error {
	if server, ok := app.Connect(e.paths()); ok {
		return f(server)
	}
	return e.writing("user", nil, func(h *app.House) error { return f(h.People(lastro.Actor("user:local"))) })
}
