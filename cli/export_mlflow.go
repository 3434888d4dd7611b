// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"path/filepath"

	"lastro/app"
	"lastro/transfer"
)

type exportMlflowCmd struct {
	Dir string `arg:"" name:"DIR" help:"New folder for mlflow.db and mlartifacts."`
	moveFlags
}

func (*exportMlflowCmd) Help() string {
	return `Writes a database file and a folder of artifacts that a server of MLflow ` + transfer.ExportedRelease + ` or newer opens, with the ids that everything has here
(MLflow's REST API cannot keep them). Afterwards the file is read again and compared; a difference is exit code 1.

Example:
  lastro export mlflow back
  mlflow server --backend-store-uri sqlite:///back/mlflow.db --artifacts-destination back/mlartifacts`
}

func (c *exportMlflowCmd) Run(env *Env) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	return env.moving("export", c.Data, func(h *app.House) error {
		show := newMoving(env)
		o := c.moveFlags.options()
		o.Tell, o.Count = show.tell, show.count
		r, err := h.ExportMLflow(env.Ctx, dir, o)
		show.end()
		if err := reportMove(env, r, err, "exported"); err != nil || env.JSON {
			return err
		}
		env.say("\nNext\n  mlflow server --backend-store-uri sqlite:///%s --artifacts-destination %s",
			filepath.Join(dir, transfer.ExportedDatabase), filepath.Join(dir, transfer.ExportedArtifacts))
		return nil
	})
}
