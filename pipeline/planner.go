// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"lastro"
)

// planner makes one plan.
type planner struct {
	e        *Engine
	shop     *Workshop
	o        PlanOptions
	recorded bool            // the run exists: nothing is asked of the cache
	secrets  map[string]int  // versions by name
	keyed    map[string]bool // whether a step has ever had a cache key
	plan     *Plan
	steps    map[string]*PlanStep
	datasets map[string]*Dataset
	selected map[string]*StepRun // steps whose outputs are known from the cache
	runtimes map[Python]Runtime
	selects  map[string]map[string]string // code by under and globs
	lastRuns map[int64]Run
	from     map[string]bool
	platform string
	names    scope
	upstream map[string]map[string]bool   // of each step that was asked about
	declares map[string]map[string]string // what the file says of each step, as ingredients
	unsure   map[string]Outlook           // steps that a condition leaves out, or may
	works    map[string]work              // what the kind says of each step
}

// Plan resolves a pipeline: it takes the datasets' versions, digests the code
// and looks up the cache, and changes nothing else. The error is
// lastro.Problems for what is wrong with the declaration.
func (e *Engine) Plan(ctx context.Context, shop *Workshop, spec Spec, o PlanOptions) (*Plan, error) {
	if o.Event == nil {
		o.Event = map[string]any{"kind": "person"}
	}
	var err error
	if spec.Params, err = override(spec.Params, o.Params); err != nil {
		return nil, err
	}
	p := newPlanner(e, shop, spec, o)
	if err := p.make(ctx); err != nil {
		return nil, err
	}
	if shop.Code != nil && len(o.Keep) > 0 {
		if p.plan.kept, err = shop.Code.Select(ctx, "", o.Keep, nil); err != nil {
			return nil, err
		}
	}
	p.plan.Digest, err = p.digest()
	return p.plan, err
}

// replan makes the plan of a run anew from its record: the versions of data and
// code are the run's own, and the cache is asked cell by cell.
func (e *Engine) replan(ctx context.Context, shop *Workshop, r Run) (*Plan, error) {
	p := newPlanner(e, shop, r.Spec, PlanOptions{RunOptions: r.Options, Git: r.Git, Event: r.Event, Actor: r.Actor})
	p.recorded = true
	for i := range r.Datasets {
		p.datasets[r.Datasets[i].Name] = &r.Datasets[i]
	}
	if err := p.make(ctx); err != nil {
		return nil, err
	}
	p.plan.Digest = r.PlanDigest
	return p.plan, nil
}

func newPlanner(e *Engine, shop *Workshop, spec Spec, o PlanOptions) *planner {
	p := &planner{e: e, shop: shop, o: o, steps: map[string]*PlanStep{}, datasets: map[string]*Dataset{}, selected: map[string]*StepRun{},
		runtimes: map[Python]Runtime{}, selects: map[string]map[string]string{}, lastRuns: map[int64]Run{}, from: map[string]bool{}, keyed: map[string]bool{},
		platform: runtime.GOOS + "/" + runtime.GOARCH, names: newScope(spec.Params, o.Git, o.Event, nil).using(shop.Eval), upstream: map[string]map[string]bool{}, declares: map[string]map[string]string{}, unsure: map[string]Outlook{}, works: map[string]work{}}
	p.plan = &Plan{Spec: spec, Git: o.Git, Event: o.Event, Actor: o.Actor, Code: map[string]string{}, Options: o.RunOptions, shop: shop, index: map[string]int{}}
	return p
}

func (p *planner) make(ctx context.Context) error {
	if err := p.order(); err != nil {
		return err
	}
	for i, s := range p.plan.Steps { // all before any code is digested: data is no code
		p.plan.index[s.Spec.Name] = i
		for _, in := range s.Spec.Inputs {
			if in.Dataset == "" {
				continue
			}
			if _, err := p.dataset(ctx, in.Dataset); err != nil {
				return atStep(s.Spec, err)
			}
		}
	}
	if !p.o.Untrusted {
		var err error
		if p.secrets, err = SecretVersions(ctx, p.shop.Secrets, p.wantedSpecs()); err != nil {
			return err
		}
	}
	for rest := p.plan.Steps; len(rest) > 0; {
		n := level(rest)
		if err := p.level(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	for _, name := range slices.Sorted(maps.Keys(p.datasets)) {
		p.plan.Datasets = append(p.plan.Datasets, *p.datasets[name])
	}
	return nil
}

// wantedSpecs are the steps of the plan as declared.
func (p *planner) wantedSpecs() []StepSpec {
	out := make([]StepSpec, len(p.plan.Steps))
	for i := range p.plan.Steps {
		out[i] = p.plan.Steps[i].Spec
	}
	return out
}

// override sets params by dotted name; only declared ones, so that a slip of
// the pen is not silently ignored.
func override(params, by map[string]any) (map[string]any, error) {
	out := deepCopy(params)
	known := map[string]any{}
	for k, v := range params {
		addName(known, k, v)
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		if _, ok := known[name]; !ok {
			e := &lastro.Error{Code: lastro.EInvalid, ID: "L0131", Msg: fmt.Sprintf("there is no param %q", name),
				Hint: "lastro.yaml declares " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")}
			if near := lastro.Nearest(name, slices.Collect(maps.Keys(known))); near != "" {
				e.Hint = fmt.Sprintf("did you mean %s?", near)
			}
			return nil, e
		}
		at, parts := out, strings.Split(name, ".")
		for _, part := range parts[:len(parts)-1] {
			at = at[part].(map[string]any)
		}
		value, err := fitting(name, known[name], by[name])
		if err != nil {
			return nil, err
		}
		at[parts[len(parts)-1]] = value
	}
	return out, nil
}

// fitting is a value for a param that is declared as another one, of the same
// kind. Any value is a text where a text is declared: 007 is no number there.
func fitting(name string, declared, value any) (any, error) {
	want, got := kindOf(declared), kindOf(value)
	if want == got || want == "nothing" {
		return value, nil
	}
	if want == "text" {
		return text(value), nil
	}
	return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0135", Msg: fmt.Sprintf("param %s is %s in lastro.yaml (%s), and %s is %s", name, want, text(declared), text(value), got),
		Hint: fmt.Sprintf("write a value of that kind, such as -p %s=%s", name, text(declared))}
}

// kindOf names what kind of value a param is, as people say it.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}

func deepCopy(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			v = deepCopy(inner)
		}
		out[k] = v
	}
	return out
}

// level is how many of the steps need none of those before them.
func level(steps []PlanStep) int {
	among := map[string]bool{}
	for n, s := range steps {
		if slices.ContainsFunc(s.Needs, func(need string) bool { return among[need] }) {
			return n
		}
		among[s.Spec.Name] = true
	}
	return len(steps)
}

// level plans steps that do not need each other; those they need are planned
// already. The cache is asked once for all of them.
func (p *planner) level(ctx context.Context, steps []PlanStep) error {
	var ask []*PlanCell
	for i := range steps {
		if err := p.step(ctx, &steps[i]); err != nil {
			return err
		}
		if p.recorded {
			continue
		}
		known, err := p.outlooks(&steps[i])
		if err != nil {
			return err
		}
		ask = append(ask, known...)
	}
	if p.recorded {
		return nil
	}
	if err := p.e.lookUpAll(ctx, p.plan, ask, p.explain); err != nil {
		return err
	}
	for i := range steps {
		p.foretell(&steps[i])
		p.settle(&steps[i])
	}
	return nil
}

// step plans the cells of one step, but for what the cache says of them.
func (p *planner) step(ctx context.Context, ps *PlanStep) error {
	kind, err := p.shop.kind(ps.Spec)
	if err != nil {
		return err
	}
	for i, values := range Cells(ps.Spec) {
		c := PlanCell{Values: values, Label: CellLabel(ps.Spec.Matrix, values), needs: kind.Needs(ps.Spec)}
		if values != nil {
			c.Index = i + 1
		}
		if err := p.cell(ctx, kind, ps, &c); err != nil {
			return err
		}
		ps.Cells = append(ps.Cells, c)
	}
	if len(ps.Cells) == 0 {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0106", Pos: ps.Spec.Pos, Msg: fmt.Sprintf("step %q: its matrix has no cells", ps.Spec.Name), Hint: "exclude takes all of them out, or an axis has no values"}
	}
	return nil
}

// settle makes the outputs of a step known when all its cells are.
func (p *planner) settle(ps *PlanStep) {
	runs := make([]StepRun, 0, len(ps.Cells))
	for i := range ps.Cells {
		c := &ps.Cells[i]
		if c.Outlook != Hit {
			return
		}
		hit := *c.hit
		hit.Values = c.Values
		runs = append(runs, hit)
	}
	// Cells that cannot be compared fail the step when it runs, not the plan.
	if best, err := choose(ps.Spec, runs); err == nil && best >= 0 {
		p.selected[ps.Spec.Name] = &runs[best]
	}
}

func (p *planner) cell(ctx context.Context, kind Kind, ps *PlanStep, c *PlanCell) error {
	s := ps.Spec
	names := p.names.withCell(c.Values)
	with, used, err := expand(s.With, names)
	if err != nil {
		return atStep(s, err)
	}
	s.With = with
	c.spec, c.ingredients = s, map[string]string{"key version": keyVersion, "platform": p.platform}
	for _, v := range s.Vars {
		used = append(used, v.Expr)
	}
	if c.reads, err = names.ingredients(c.ingredients, used); err != nil {
		return atStep(s, err)
	}
	for axis, v := range c.Values {
		c.ingredients["matrix."+axis] = text(v)
	}
	if err := p.declared(ctx, kind, c); err != nil {
		return atStep(s, err)
	}
	// Else a result that saw more than a strict run lets it would be taken for one.
	// A fork is kept strict for what its code may do, and keeps its results to itself: it may use what trusted code made.
	if p.o.Strict && !p.o.Untrusted && c.needs.Code {
		c.ingredients["isolation"] = "strict"
	}
	if err := p.code(ctx, c); err != nil {
		return atStep(s, err)
	}
	if err := p.inputs(ctx, c); err != nil {
		return atStep(s, err)
	}
	c.symbolic = maps.Clone(c.ingredients)
	if err := p.runtime(ctx, c); err != nil {
		return atStep(s, err)
	}
	addSecrets(c, p.secrets)
	c.forced = p.forced(ps.Spec)
	return nil
}

// atStep gives an error the place of the step that it is about.
func atStep(s StepSpec, err error) error {
	if e, ok := err.(*lastro.Error); ok && e.Pos == (lastro.Pos{}) {
		placed := *e
		placed.Pos, placed.Msg = s.Pos, fmt.Sprintf("step %q: %s", s.Name, e.Msg)
		return &placed
	}
	if _, ok := err.(*lastro.Error); ok || err == nil {
		return err
	}
	return fmt.Errorf("step %q: %w", s.Name, err)
}

// declared adds what the file says of the step.
func (p *planner) declared(ctx context.Context, kind Kind, c *PlanCell) error {
	s := c.spec
	own, ok := p.works[s.Name]
	if !ok || own.with != string(s.With) {
		var err error
		if own, err = workOf(ctx, kind, s); err != nil {
			return err
		}
		p.works[s.Name] = own
	}
	maps.Copy(c.ingredients, own.ingredients)
	same, ok := p.declares[s.Name]
	if !ok {
		var err error
		if same, err = declaration(s); err != nil {
			return err
		}
		p.declares[s.Name] = same
	}
	maps.Copy(c.ingredients, same)
	return nil
}

// work is what a kind says of a step. Of what a cell changes it sees the
// settings alone, so cells with the same settings share it.
type work struct {
	with        string
	ingredients map[string]string
}

func workOf(ctx context.Context, kind Kind, s StepSpec) (work, error) {
	out := work{with: string(s.With), ingredients: map[string]string{}}
	own, err := kind.Ingredients(ctx, s)
	if err != nil {
		return out, err
	}
	if own, err = generic(own); err != nil {
		return out, err
	}
	if _, isMap := own.(map[string]any); isMap {
		flatten(out.ingredients, "", own)
	} else {
		out.ingredients["work"] = text(own)
	}
	return out, nil
}

// declaration is what the file says of a step, the same for all its cells.
func declaration(s StepSpec) (map[string]string, error) {
	out := map[string]string{}
	for k, v := range s.Env {
		out["env."+k] = v
	}
	vars := map[string]string{}
	for _, v := range s.Vars {
		vars[v.Name] = v.Expr
	}
	files := map[string]string{}
	for _, o := range s.Outputs {
		files[o.Name] = o.Path
	}
	for name, v := range map[string]any{"variables": vars, "outputs": files, "reports": s.Reports, "metrics files": s.Metrics, "plots": s.Plots, "sees": s.Sees} {
		b, err := lastro.CanonicalJSON(v)
		if err != nil {
			return nil, err
		}
		if str := string(b); str != "{}" && str != "null" && str != "[]" {
			out[name] = str
		}
	}
	if s.Workdir != "" {
		out["workdir"] = s.Workdir
	}
	if s.Network == NetworkNone {
		out["network"] = string(s.Network)
	}
	return out, nil
}

// code adds the digest of the files that the step may run.
func (p *planner) code(ctx context.Context, c *PlanCell) error {
	if !c.needs.Code || p.shop.Code == nil {
		return nil
	}
	under := c.spec.Workdir
	if c.spec.Code != nil {
		under = "" // globs count from the root
	}
	memo := under + "\x00" + strings.Join(c.spec.Code, "\x00") + "\x00" + fmt.Sprint(c.spec.Code == nil)
	files, ok := p.selects[memo]
	if c.spec.Code != nil && len(c.spec.Code) == 0 { // `code: []`: the command needs no file of the project
		files, ok = map[string]string{}, true
	}
	if !ok {
		var err error
		if files, err = p.shop.Code.Select(ctx, under, c.spec.Code, p.notCode()); err != nil {
			return err
		}
		p.selects[memo] = files
		maps.Copy(p.plan.Code, files)
	}
	if len(files) == 0 && len(c.spec.Code) > 0 {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0132", Msg: fmt.Sprintf("its `code: [%s]` matches no file", strings.Join(c.spec.Code, ", ")),
			Hint: "globs count from the repository root; ignored files do not count"}
	}
	b, err := lastro.CanonicalJSON(files)
	if err != nil {
		return err
	}
	c.code = files
	c.ingredients["code"] = string(lastro.DigestOf(b))
	return nil
}

// notCode are the paths that are something else than code: the pipeline file,
// locks, data, and whatever a step writes (SEMANTICS 10).
func (p *planner) notCode() []string {
	out := append([]string{"lastro.yaml", "lastro.lock", ".lastro"}, p.plan.Spec.NotCode...)
	for _, d := range p.datasets {
		out = append(out, d.Path)
	}
	for _, s := range p.plan.Spec.Steps {
		for _, o := range s.Outputs {
			out = append(out, o.Path)
		}
		out = append(out, s.Metrics...)
		for _, f := range s.Reports {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// inputs lists what the step reads. Datasets have a version now; outputs of
// steps that will run have none yet.
func (p *planner) inputs(ctx context.Context, c *PlanCell) error {
	at := map[string]string{}
	for _, in := range c.spec.Inputs {
		found, err := p.input(ctx, c, in)
		if err != nil {
			return err
		}
		for _, f := range found {
			if other, clash := at[f.Path]; clash {
				return lastro.Errorf(lastro.EInvalid, "its inputs %s and %s are both at %s", other, f.Name, f.Path)
			}
			at[f.Path] = f.Name
			c.inputs = append(c.inputs, f)
			if f.dataset == nil {
				c.ingredients["input "+f.Name] = "of step " + f.Step
			} else {
				c.ingredients["input "+f.Name] = f.identity()
			}
		}
	}
	return nil
}

// identity is what an input of known content adds to the key.
func (f plannedInput) identity() string {
	if f.dataset == nil {
		return string(f.Digest) + " at " + f.Path
	}
	id := string(f.Version) + " at " + f.Path
	if len(f.hidden) > 0 {
		id += " without " + strings.Join(f.hidden, ", ")
	}
	return id
}

// seenBehind is the dataset whose sensitive columns a built-in left out of its
// outputs although the step that reads them may see them; nil = none.
func (p *planner) seenBehind(reader, maker StepSpec) *Dataset {
	if len(reader.Sees) == 0 || maker.Kind == "run" {
		return nil
	}
	for _, in := range maker.Inputs {
		d, ok := p.datasets[in.Dataset]
		if in.Dataset == "" || !ok {
			continue
		}
		if !slices.ContainsFunc(reader.Sees, func(column string) bool { return !slices.Contains(d.Sensitive, column) }) {
			return d
		}
	}
	return nil
}

func (p *planner) input(ctx context.Context, c *PlanCell, in Input) ([]plannedInput, error) {
	if in.Dataset != "" {
		d, err := p.dataset(ctx, in.Dataset)
		if err != nil {
			return nil, err
		}
		f := plannedInput{dataset: d, JobInput: JobInput{Name: d.Name, Path: d.Path, Digest: d.Digest, Dataset: d.Name, Version: d.Digest}}
		if !c.needs.Sensitive {
			for _, column := range d.Sensitive {
				if !slices.Contains(c.spec.Sees, column) {
					f.hidden = append(f.hidden, column)
				}
			}
			slices.Sort(f.hidden)
		}
		if len(f.hidden) > 0 {
			f.Digest = ""
		}
		return []plannedInput{f}, nil
	}
	from := p.steps[in.Step]
	if from.Spec.HasMatrix() && from.Spec.Select == nil {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0127", Msg: fmt.Sprintf("input %q: step %q has a matrix, and nothing says which cell goes on", in, in.Step),
			Hint: "add `select: {best: metrics.NAME, goal: max}` to it"}
	}
	var out []plannedInput
	for _, o := range from.Spec.Outputs {
		if in.Output == "" || in.Output == o.Name {
			f := plannedInput{JobInput: JobInput{Name: in.Step + "." + o.Name, Path: path.Clean(o.Path), Step: in.Step, Output: o.Name}}
			if f.back = p.seenBehind(c.spec, from.Spec); f.back != nil {
				c.ingredients["sensitive "+f.Name] = string(f.back.Digest)
			}
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return nil, lastro.Errorf(lastro.EInvalid, "input %q: step %q declares no such output", in, in.Step)
	}
	return out, nil
}

func (p *planner) dataset(ctx context.Context, name string) (*Dataset, error) {
	if d, ok := p.datasets[name]; ok {
		return d, nil
	}
	if p.shop.Datasets == nil {
		return nil, lastro.Errorf(lastro.EInvalid, "dataset %q is not declared", name)
	}
	d, err := p.shop.Datasets.Snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	if !local(d.Path) {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0124", Msg: fmt.Sprintf("dataset %q cannot be put at %q in a workspace", name, d.Path),
			Hint: "say where steps find it: `path: data/NAME`"}
	}
	d.Path = path.Clean(d.Path)
	p.datasets[name] = &d
	return &d, nil
}

// runtime adds the environment's identity, when it can be told.
func (p *planner) runtime(ctx context.Context, c *PlanCell) error {
	wanted := p.shop.python(p.plan.Spec, c)
	if wanted == nil {
		return nil
	}
	c.symbolic["python wanted"] = wanted.Version + " " + wanted.Lock
	rt, ok := p.runtimes[*wanted]
	if !ok {
		var err error
		if rt, err = p.shop.Runtimes.Find(ctx, *wanted); err != nil {
			return err
		}
		p.runtimes[*wanted] = rt
	}
	c.runtime = rt
	if rt.Digest != "" {
		c.ingredients["python"] = string(rt.Digest)
	}
	return nil
}

// python returns the runtime that a cell wants, nil for none.
func (w *Workshop) python(spec Spec, c *PlanCell) *Python {
	wanted := spec.Python
	if c.spec.Python != nil {
		wanted = *c.spec.Python
	}
	if !c.needs.Python || w.Runtimes == nil || wanted == (Python{}) {
		return nil
	}
	return &wanted
}

// forced says why a step runs even if it is cached; "" = it does not.
func (p *planner) forced(s StepSpec) string {
	switch {
	case p.o.NoCache && p.o.Scope == Reproduction:
		return "done again to be compared"
	case p.o.NoCache:
		return "the cache was not asked (--no-cache)"
	case !s.Cache:
		return "it is never cached (cache: false)"
	case p.from[s.Name]:
		return "asked for (--from)"
	}
	return ""
}

// outlooks says of each cell what can be told without the cache, and returns
// those of which it decides.
func (p *planner) outlooks(ps *PlanStep) (ask []*PlanCell, err error) {
	for i := range ps.Cells {
		c := &ps.Cells[i]
		known, err := p.outlook(ps, c)
		if err != nil {
			return nil, err
		}
		if known {
			ask = append(ask, c)
		}
	}
	return ask, nil
}

// outlook completes what can be told of a cell without the cache; ask means
// that its key is known and the cache decides.
func (p *planner) outlook(ps *PlanStep, c *PlanCell) (ask bool, err error) {
	if outlook, why := p.foresee(ps, c); outlook != "" {
		c.Outlook, c.Why = outlook, why
		return false, nil
	}
	if waits := p.fill(c); len(waits) > 0 {
		c.Outlook, c.Why = Depends, "depends on "+strings.Join(waits, ", ")
		return false, nil
	}
	if wanted := p.shop.python(p.plan.Spec, c); wanted != nil && c.runtime.Digest == "" {
		c.Outlook, c.Why = Miss, "the Python environment is not built yet"
		return false, nil
	}
	if c.Key, err = cacheKey(c.ingredients); err != nil {
		return false, err
	}
	c.Outlook, c.Why = Miss, c.forced
	return c.forced == "", nil
}

// fill puts the digests of outputs that are known from the cache into the
// inputs and returns the steps whose are not.
func (p *planner) fill(c *PlanCell) (waits []string) {
	for i := range c.inputs {
		if f := &c.inputs[i]; f.dataset == nil {
			if !f.take(p.selected[f.Step]) {
				waits = append(waits, f.Step)
				continue
			}
			c.ingredients["input "+f.Name] = f.identity()
		}
	}
	waits = append(waits, p.learn(c)...)
	slices.Sort(waits)
	return slices.Compact(waits)
}

// take sets the digest from the step run that made the output.
func (f *plannedInput) take(from *StepRun) bool {
	if from == nil {
		return false
	}
	a, ok := from.Output(f.Output)
	f.Digest = a.Digest
	return ok
}

func ended(s State) string {
	switch s {
	case Cancelled:
		return "was cancelled"
	case Succeeded, Cached:
		return "is no longer kept"
	}
	return string(s)
}

// digest names the plan by everything that decides what it does and can be
// told before it runs: so it is the same after a crash in mid-run.
func (p *planner) digest() (lastro.Digest, error) {
	type cell struct {
		Ingredients map[string]string
		Forced      string
	}
	body := struct {
		Project string
		Commit  string
		Params  map[string]any
		Steps   map[string][]cell
		Select  map[string]*Select
	}{p.plan.Spec.Project, p.o.Git.Commit, p.plan.Spec.Params, map[string][]cell{}, map[string]*Select{}}
	for _, s := range p.plan.Steps {
		for _, c := range s.Cells {
			body.Steps[s.Spec.Name] = append(body.Steps[s.Spec.Name], cell{c.symbolic, c.forced})
		}
		body.Select[s.Spec.Name] = s.Spec.Select
	}
	b, err := lastro.CanonicalJSON(body)
	return lastro.DigestOf(b), err
}

// local refuses paths that leave the workspace, and the whole of it.
func local(p string) bool {
	return p != "" && path.Clean(p) != "." && filepath.IsLocal(filepath.FromSlash(p))
}

// MarshalJSON hides nothing and adds the inputs' names, for --json.
func (c PlanCell) MarshalJSON() ([]byte, error) {
	type plain PlanCell
	ingredients := c.ingredients
	return json.Marshal(struct {
		plain
		Ingredients map[string]string `json:"ingredients,omitempty"`
	}{plain(c), ingredients})
}
