// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/blob/file"
	"lastro/exec/process"
	"lastro/pipeline"
	"lastro/secret"
	"lastro/source"
	"lastro/step/command"
	"lastro/store"
)

// roleVar makes the test binary play another process.
const roleVar = "LASTRO_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "supervisor":
		err = process.RunSupervisor(context.Background(), process.SupervisorOptions{Dir: os.Args[1], Grace: 300 * time.Millisecond, IdleAfter: time.Second, Mask: secret.Mask})
	case "engine":
		var b *house
		if b, err = openHouse(context.Background(), os.Args[1]); err == nil {
			var r pipeline.Run
			if r, err = b.run(context.Background(), killSpec(os.Args[1])); err == nil {
				fmt.Println(r.Number, r.State, r.Reason)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// house is a project folder with all that a run needs.
type house struct {
	dir   string
	db    *store.DB
	store *store.Pipeline
	exec  *process.Executor
	o     pipeline.Options
	shop  *pipeline.Workshop
	event map[string]any // of the next runs; nil = a person
	git   pipeline.Git
}

func openHouse(ctx context.Context, dir string) (*house, error) {
	state := filepath.Join(dir, ".lastro")
	h := &house{dir: dir}
	var err error
	if h.db, err = store.Open(ctx, filepath.Join(state, "lastro.db")); err != nil {
		return nil, err
	}
	h.store = store.NewPipeline(h.db)
	blobs, err := file.Open(filepath.Join(state, "blobs"))
	if err != nil {
		return nil, err
	}
	control := filepath.Join(state, "run")
	h.exec, err = process.Open(ctx, process.Options{Dir: control, Program: os.Args[0], Args: []string{control}, Env: append(os.Environ(), roleVar+"=supervisor")})
	if err != nil {
		return nil, err
	}
	kind := &command.Kind{Executor: h.exec, Environ: os.Environ(), Store: filepath.Join(state, "blobs"), Hidden: []string{state}}
	h.o = pipeline.Options{Store: h.store, Blobs: blobs, StateDir: state}
	h.shop = &pipeline.Workshop{Kinds: []pipeline.Kind{kind}, Project: dir}
	h.o.Open = func(context.Context, pipeline.Run) (*pipeline.Workshop, error) { return h.shop, nil }
	return h, nil
}

func (h *house) close() { h.exec.Close(); h.db.Close() }

func (h *house) run(ctx context.Context, spec pipeline.Spec) (pipeline.Run, error) {
	tree, err := source.Open(ctx, h.dir, nil)
	if err != nil {
		return pipeline.Run{}, err
	}
	e := pipeline.NewEngine(h.o)
	h.shop.Code = tree
	p, err := e.Plan(ctx, h.shop, spec, pipeline.PlanOptions{Event: h.event, Git: h.git})
	if err != nil {
		return pipeline.Run{}, err
	}
	return e.Run(ctx, p, nil)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "train.sh"), []byte("echo training with $1\nmkdir -p work\necho model > work/model\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := openHouse(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

func shell(name, text string, outputs ...string) pipeline.StepSpec {
	s := pipeline.StepSpec{Name: name, Kind: "run", Shell: text, Cache: true}
	for _, o := range outputs {
		s.Outputs = append(s.Outputs, pipeline.Output{Name: o, Path: "work/" + o})
	}
	return s
}

func (h *house) must(t *testing.T, spec pipeline.Spec) (pipeline.Run, map[string]pipeline.StepRun) {
	t.Helper()
	r, err := h.run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := h.store.StepRuns(t.Context(), r.Number)
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]pipeline.StepRun{}
	for _, s := range rows {
		steps[s.Step] = s
	}
	return r, steps
}

func TestCommand(t *testing.T) {
	h := newHouse(t)
	t.Setenv("SECRET_OF_THE_SHELL", "never passed on")
	train := shell("train", `./train.sh "$LASTRO_EXPR_1"`, "model")
	train.Vars = []pipeline.Var{{Name: "LASTRO_EXPR_1", Expr: "params.depth"}}
	argv := pipeline.StepSpec{Name: "argv", Kind: "run", Argv: []string{"sh", "-c", `printf %s "$1" > work/out; env > work/env`, "x", "--depth=${{ params.depth }}"},
		Vars:    []pipeline.Var{{Name: "LASTRO_EXPR_1", Expr: "params.depth"}},
		Outputs: []pipeline.Output{{Name: "out", Path: "work/out"}, {Name: "env", Path: "work/env"}}, Cache: true, Env: map[string]string{"MINE": "a b"}}
	evaluate := shell("evaluate", "cat work/model; echo '{\"auc\": 0.7}' > work/m.json")
	evaluate.Inputs, evaluate.Metrics = []pipeline.Input{{Step: "train", Output: "model"}}, []string{"work/m.json"}
	spec := pipeline.Spec{Project: "demo", Params: map[string]any{"depth": 6}, Steps: []pipeline.StepSpec{train, argv, evaluate}}
	r, steps := h.must(t, spec)
	if r.State != pipeline.Succeeded {
		t.Fatalf("%s: %s", r.State, r.Reason)
	}
	log, err := os.ReadFile(filepath.Join(h.dir, ".lastro", steps["train"].Log))
	if err != nil || string(log) != "training with 6\n" {
		t.Errorf("log %q, %v", log, err)
	}
	if d := steps["argv"].Outputs[0].Digest; d != lastro.DigestOf([]byte("--depth=6")) {
		t.Errorf("argv step printed something else: %s", d)
	}
	if steps["evaluate"].Facts["metrics.auc"] != 0.7 || steps["train"].CPUSeconds == 0 {
		t.Errorf("facts %v, %v s", steps["evaluate"].Facts, steps["train"].CPUSeconds)
	}
	dest := filepath.Join(t.TempDir(), "env")
	if err := h.o.Blobs.Materialise(t.Context(), steps["argv"].Outputs[1].Digest, dest); err != nil {
		t.Fatal(err)
	}
	env, _ := os.ReadFile(dest)
	for want, there := range map[string]bool{"SECRET_OF_THE_SHELL": false, "MINE=a b\n": true, "PYTHONHASHSEED=0\n": true, "LASTRO_STEP=argv\n": true, "HOME=" + os.Getenv("HOME") + "\n": false} {
		if strings.Contains(string(env), want) != there {
			t.Errorf("%q in the environment is not %v:\n%s", want, there, env)
		}
	}
	// Editing the script runs exactly what reads it again.
	spec.Steps[1].Code = []string{"lib/**"}
	if err := os.MkdirAll(filepath.Join(h.dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(h.dir, "lib", "a.sh"), nil, 0o644)
	h.must(t, spec)
	os.WriteFile(filepath.Join(h.dir, "train.sh"), []byte("mkdir -p work; echo model > work/model\n"), 0o755)
	_, steps = h.must(t, spec)
	if s := steps["train"]; s.State != pipeline.Succeeded || s.Reason != "code changed (train.sh)" {
		t.Errorf("train: %s %q", s.State, s.Reason)
	}
	if s := steps["argv"]; s.State != pipeline.Cached {
		t.Errorf("argv: %s %q", s.State, s.Reason)
	}
}

func TestVerdicts(t *testing.T) {
	h := newHouse(t)
	slow := shell("slow", "sleep 30")
	slow.Timeout = 200 * time.Millisecond
	steps := []pipeline.StepSpec{shell("exit", "echo the reason; exit 3"), shell("missing", "no-such-program"), shell("pipe", "false | cat"), shell("unset", "echo $NOT_SET"),
		shell("killed", "kill -9 $$"), slow, shell("wide", "head -c 65536 /dev/zero | tr '\\0' x; echo; exit 4"), {Name: "program", Kind: "run", Argv: []string{"no-such-program"}}}
	r, got := h.must(t, pipeline.Spec{Project: "demo", Steps: steps})
	if r.State != pipeline.Failed {
		t.Errorf("run %s", r.State)
	}
	for name, want := range map[string]string{"exit": "exit status 3", "missing": "was not found", "pipe": "exit status 1", "unset": "exit status 1",
		"killed": "signal 9", "slow": "timeout of 200ms", "program": "could not start"} {
		s := got[name]
		if s.State != pipeline.Failed || s.Error == nil || !strings.Contains(s.Error.Msg, want) {
			t.Errorf("%s: %s %+v, want %q", name, s.State, s.Error, want)
		}
	}
	if n := got["exit"].Error.Notes; !slices.Equal(n, []string{"the reason"}) {
		t.Errorf("notes %q", n)
	}
	if n := got["wide"].Error.Notes; len(n) != 1 || len(n[0]) > 400 || !strings.Contains(n[0], "(shortened)") {
		t.Errorf("a line of 64 KiB: %.500q", n)
	}
	if left, err := h.exec.List(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("the executor remembers %v, %v", left, err)
	}
}

func TestInterrupt(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	pid := filepath.Join(h.dir, ".lastro", "pid")
	go func() {
		for ctx.Err() == nil {
			if raw, err := os.ReadFile(pid); err == nil && len(raw) > 0 {
				cancel(fmt.Errorf("interrupted"))
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	r, err := h.run(ctx, pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{shell("long", "echo $$ > "+pid+"; sleep 60"), shell("other", "sleep 60"), shell("third", "true")}})
	if err != nil || r.State != pipeline.Cancelled || r.Reason != "interrupted" {
		t.Errorf("%s %q, %v", r.State, r.Reason, err)
	}
	raw, _ := os.ReadFile(pid)
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(raw))); err == nil {
		t.Error("the step still runs")
	}
	if r, err = h.run(t.Context(), pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{shell("third", "true")}}); err != nil || r.State != pipeline.Succeeded || r.Number != 2 {
		t.Errorf("the next command: %+v, %v", r, err)
	}
}

// killSpec is six steps, two of them side by side, that each write down when
// they run.
func killSpec(dir string) pipeline.Spec {
	spec := pipeline.Spec{Project: "kill"}
	for i, needs := range [][]int{nil, {0}, {0}, {1, 2}, {3}, {4}} {
		s := shell(fmt.Sprintf("s%d", i), fmt.Sprintf("echo s%d >> %s/.lastro/ran; sleep 0.15; echo %d > work/o%d", i, dir, i, i), fmt.Sprintf("o%d", i))
		for _, n := range needs {
			s.Inputs = append(s.Inputs, pipeline.Input{Step: fmt.Sprintf("s%d", n)})
		}
		spec.Steps = append(spec.Steps, s)
	}
	return spec
}

// TestKill9 kills the engine at random moments until the run is over. The
// whole takes 0.75 s of sleeping, so most kills hit it in the middle.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	kills := 0
	for {
		cmd := osexec.Command(os.Args[0], dir)
		cmd.Env = append(os.Environ(), roleVar+"=engine")
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		wait := time.Duration(50+rand.IntN(300)) * time.Millisecond
		if kills >= 12 {
			wait = time.Minute
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("the engine: %v\n%s", err, said.String())
			}
			// Run 2 when a kill hit between the end of run 1 and that of its process.
			if got := strings.TrimSpace(said.String()); got != "1 succeeded" && got != "2 succeeded" {
				t.Errorf("the last engine said %q", got)
			}
		case <-time.After(wait):
			kills++
			cmd.Process.Kill()
			<-done
			continue
		}
		break
	}
	if kills == 0 {
		t.Fatal("no kill hit the run")
	}
	h, err := openHouse(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	rows, err := h.store.StepRuns(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	committed := map[string]int{}
	for _, s := range rows {
		if s.State == pipeline.Succeeded {
			committed[s.Step]++
		}
	}
	raw, _ := os.ReadFile(filepath.Join(dir, ".lastro", "ran"))
	ran := map[string]int{}
	for name := range strings.FieldsSeq(string(raw)) {
		ran[name]++
	}
	events, err := h.db.Events(t.Context(), store.EventFilter{Verb: "step.succeeded"})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 6 {
		t.Errorf("%d events step.succeeded, want 6", len(events))
	}
	for i := range 6 {
		name := fmt.Sprintf("s%d", i)
		if committed[name] != 1 || ran[name] != 1 {
			t.Errorf("after %d kills %s was committed %d times and ran %d times, want once", kills, name, committed[name], ran[name])
		}
	}
	t.Logf("%d kills, %d step rows", kills, len(rows))
	// Another plan starts a run of its own, and whatever was left is tidied up.
	spec := pipeline.Spec{Project: "kill", Steps: []pipeline.StepSpec{shell("other", "true")}}
	if r, err := h.run(t.Context(), spec); err != nil || r.Number < 2 || r.State != pipeline.Succeeded {
		t.Errorf("the next run: %+v, %v", r, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, ".lastro", "work")); err != nil || len(left) != 0 {
		t.Errorf("workspaces are left: %v, %v", left, err)
	}
}

// TestOtherPlan: what a dead engine left behind is stopped and lost when the
// next command has another plan.
func TestOtherPlan(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	pid := filepath.Join(h.dir, ".lastro", "pid")
	long := pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{shell("long", "echo $$ > "+pid+"; sleep 60", "x"), shell("after", "true")}}
	long.Steps[1].Needs = []string{"long"}
	go func() {
		for ctx.Err() == nil {
			if raw, err := os.ReadFile(pid); err == nil && len(raw) > 0 {
				cancel(pipeline.ErrDetach)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if _, err := h.run(ctx, long); err != pipeline.ErrDetach {
		t.Fatalf("detached: %v", err)
	}
	raw, _ := os.ReadFile(pid)
	proc := "/proc/" + strings.TrimSpace(string(raw))
	if _, err := os.Stat(proc); err != nil {
		t.Fatal("the step did not outlive its engine")
	}
	r, _ := h.must(t, pipeline.Spec{Project: "demo", Steps: []pipeline.StepSpec{shell("short", "true")}})
	old, err := h.store.Run(t.Context(), 1)
	if err != nil || r.Number != 2 || old.State != pipeline.Errored || !strings.Contains(old.Reason, "lost") {
		t.Errorf("run %d; the old one: %s %q, %v", r.Number, old.State, old.Reason, err)
	}
	rows, _ := h.store.StepRuns(t.Context(), 1)
	if rows[0].State != pipeline.Errored || rows[1].State != pipeline.Skipped {
		t.Errorf("its steps: %s, %s", rows[0].State, rows[1].State)
	}
	if _, err := os.Stat(proc); err == nil {
		t.Error("the lost step still runs")
	}
}

func BenchmarkEcho100(b *testing.B) {
	dir := b.TempDir()
	h, err := openHouse(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	defer h.close()
	for i := 0; b.Loop(); i++ {
		spec := pipeline.Spec{Project: "demo"}
		for j := range 100 {
			spec.Steps = append(spec.Steps, shell(fmt.Sprintf("s%d", j), fmt.Sprintf("echo %d %d", i, j)))
		}
		if r, err := h.run(b.Context(), spec); err != nil || r.State != pipeline.Succeeded {
			b.Fatal(r.State, r.Reason, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/step")
}
