// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/api/mlflow"
	"lastro/outbound"
	"lastro/store"
	"lastro/store/storetest"
	"lastro/webhook"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// newest is the client of tools/requirements-test.txt; the older ones are in
// tools/requirements-clients.txt.
const newest = "3.17.2"

// longForm runs every client on both databases, with every framework; make clients sets it.
var longForm = os.Getenv("LASTRO_CLIENTS") == "long"

// TestClients runs clienttest, the unmodified MLflow clients, against lastro:
// the newest on SQLite and PostgreSQL, the others on SQLite; make clients runs
// all of them on both.
func TestClients(t *testing.T) {
	py := python(t)
	folder := clientFolder(t, py)
	for _, version := range append(pinned(t), newest) {
		t.Run(version, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				if !longForm && version != newest && strings.HasSuffix(t.Name(), "/postgres") {
					t.Skip("make clients runs it")
				}
				runClientSuite(t, py, folder, version, db)
			})
		})
	}
}

func runClientSuite(t *testing.T, py, folder, version string, db *store.DB) {
	s := startOn(t, db, nil, withWebhooks(db))
	path := filepath.Join(folder, "packages")
	if version != newest {
		path = filepath.Join(folder, version) + string(os.PathListSeparator) + path
	}
	if more := os.Getenv("LASTRO_CLIENTS_PACKAGES"); more != "" { // PyTorch Lightning, of make clients
		path += string(os.PathListSeparator) + more
	}
	args := []string{"-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "-rs", "clienttest"}
	if only := os.Getenv("LASTRO_CLIENTS_ONLY"); only != "" {
		args = append(args, "-k", only)
	}
	if !longForm {
		args = append(args, "--deselect", "clienttest/test_autolog.py::test_lightning")
	} else {
		args = append(args[:3], args[4:]...) // every failure at once
	}
	cmd := exec.CommandContext(t.Context(), py, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "PYTHONPATH="+path, "PYTHONDONTWRITEBYTECODE=1", "LASTRO_CLIENT_VERSION="+version, "HOME="+home, "MPLBACKEND=Agg", "MPLCONFIGDIR="+home,
		"MLFLOW_TRACKING_URI="+s.URL, "MLFLOW_TRACKING_TOKEN="+s.admin, "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0", "PYTHONWARNINGS=ignore",
		"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING=false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true", "OMP_NUM_THREADS=1")
	out, err := cmd.CombinedOutput()
	t.Logf("mlflow %s:\n%s", version, out)
	if err != nil {
		t.Fatalf("the suite with mlflow %s: %v", version, err)
	}
}

// withWebhooks adds what the app adds: webhooks, whose secrets lie open here.
func withWebhooks(db *store.DB) func(*mlflow.Deps) {
	return func(d *mlflow.Deps) {
		noCard := func(context.Context, string, int) (webhook.Card, error) { return webhook.Card{}, nil }
		d.Webhooks = webhook.NewService(store.NewWebhooks(db), openBox{}, outbound.New(outbound.Options{}), noCard, lastro.SystemClock{})
	}
}

type openBox struct{}

func (openBox) Seal(_ context.Context, _, value string) ([]byte, error) { return []byte(value), nil }

func (openBox) Unseal(_ context.Context, _ string, box []byte) (string, error) {
	return string(box), nil
}

// pinned are the older clients that tools/requirements-clients.txt names.
func pinned(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("../../tools/requirements-clients.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var versions []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "client "); ok {
			versions = append(versions, strings.Fields(v)[0])
		}
	}
	return versions
}

// clientFolder installs the other clients and the frameworks, once.
func clientFolder(t *testing.T, py string) string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "../../tools/clients.sh", py)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tools/clients.sh: %v", err)
	}
	return strings.TrimSpace(string(out))
}
