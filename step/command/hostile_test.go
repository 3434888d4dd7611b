// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro/gate"
	"lastro/pipeline"
	"lastro/project"
)

// hostileFile uses a value in every place where an expression may stand and
// writes what arrives there to a file.
const hostileFile = `
version: 1
name: hostile
params: {x: {k0: a}}
steps:
  shell:
    matrix: {include: [{i: k0, v: a}]}
    env:
      WHOLE: ${{ matrix.v }}
      PART: <${{ matrix.v }}>
      WORKED: ${{ params.x[matrix.i] + "!" }}
    run: |
      put() { printf '%s' "$2" > "$OUT/${{ matrix.i }}.$1"; }
      put bare ${{ matrix.v }}
      put quoted "${{ matrix.v }}"
      put joined --v=${{ matrix.v }}
      put inner "$(printf '%s.' ${{ matrix.v }})"
      V=${{ matrix.v }}; put assigned "$V"
      put whole "$WHOLE"
      put part "$PART"
      put worked "$WORKED"
      put cel ${{ "<" + matrix.v + ">" }}
      put param ${{ params.x[matrix.i] }}
      put event "${{ event.x[matrix.i] }}"
      put looped ""; for v in ${{ matrix.v }}; do put looped "$v"; done
      put heredoc "$(cat <<EOF
      ${{ matrix.v }}.
      EOF
      )"
      put nested "$(bash -c 'printf "%s." "$1"' _ ${{ matrix.v }})"
      case ${{ matrix.v }} in nothing) ;; *) put cased yes ;; esac
      [ ${{ matrix.v }} = nothing ] || put tested yes
      [[ ${{ matrix.v }} == nothing ]] || put compared yes
  argv:
    matrix: {include: [{i: k0, v: a}]}
    run: [bash, emit.sh, "${{ matrix.i }}", "${{ matrix.v }}", "<${{ event.x[matrix.i] }}>"]
`

const emitScript = `printf '%s' "$2" > "$OUT/$1.argument"
printf '%s' "$3" > "$OUT/$1.part-of-argument"
`

// hostileValues are 200 values of branches, titles, params and data; each that
// is a command for any of the readers on the way touches the canary.
func hostileValues(canary string) []string {
	touch := "touch " + canary
	frames := []string{"%s", "$(%s)", "`%s`", "; %s #", "'; %s #", "\"; %s #", "&& %s", "|| %s", "| %s", "& %s &", "\n%s\n", "\r\n%s", "a[$(%s)]", "a[`%s`]", "x=$(%s)",
		"${IFS}%s", "$((a[$(%s)]))", "${x:=$(%s)}", "${x@P}$(%s)", "<(%s)", ">(%s)", "{%s,}", "!%s", "!!;%s", "\\\n%s", "\\`%s\\`", "\\$(%s)", "'$(%s)'", "\"$(%s)\"",
		"EOF\n%s\nEOF", "\nEOF\n%s\n<<EOF", ")\n%s\n(", "}; %s; {", "fi; %s; if true", "done; %s; for x in y", "esac; %s; case x in", ";; *) %s ;;", "]]; %s; [[", "] ; %s ; [",
		"${{ %s }}", "$%s", "{{%s}}", "<%%%s%%>", "#{%s}", "\x1b]0;%s\x07", "\u202e%s", "\u00a0%s", "\uff04(%s)", "a\t%s", "-c %s", "--eval=%s", "$'\\x24(%s)'", "$\"$(%s)\"",
		"feature/$(%s)", "refs/heads/;%s", "fix'\"`$(%s)`\"'", "<script>%s</script>", "../../$(%s)", "*;%s", "?;%s", "~;%s", "[a-z];%s"}
	var out []string
	for _, f := range frames {
		out = append(out, fmt.Sprintf(f, touch))
	}
	plain := []string{"", " ", "  a  b  ", "\t", "\n", "\n\n\n", "a\n", "\\", "\\\\", "\\n", "'", "''", "\"", "\"\"", "`", "$", "$$", "$1", "$@", "$*", "$?", "$#", "$!", "$0", "${", "${}", "${x", "$(", "$((", "))",
		"*", "?", "[", "]", "[!a]", "~", "~root", "!", "!!", "#", "# comment", "&", "&&", "|", "||", ";", ";;", "<", ">", ">>", "<<EOF", "(", ")", "{", "}", "{a,b}", "{1..9}", "-", "--", "-n", "-e", "-x", "--help", "-rf /",
		"=", "a=b", "PATH=", "BASH_ENV=/x", "() { :;}; " + touch, "%s%s%n", "%", "%d", "\x01\x02\x03", "\x07", "\x1b[31m", "\x7f", "\u0000x"[1:], "é", "日本語", "😀", "\u200b", "\ufeff", "\u2028", "a\u0301", "ﬀ",
		"true", "false", "null", "~null", "0x1f", "1e309", "NaN", "-1", "012", "${{", "}}", "${{ }}", "{{7*7}}", "${{ secrets.TOKEN }}", "${{ params.x }}", "params.x", "$LASTRO_EXPR_1", "${LASTRO_EXPR_1}", "LASTRO_EXPR_1",
		strings.Repeat("a", 64<<10), strings.Repeat("$(", 500) + touch + strings.Repeat(")", 500), strings.Repeat("'", 4096), strings.Repeat("\n", 4096), strings.Repeat("é", 32<<10), strings.Repeat("\\", 4097)}
	out = append(out, plain...)
	for i := 0; len(out) < 200; i++ {
		out = append(out, plain[i]+"$("+touch+")"+plain[len(plain)-7-i])
	}
	return out[:200]
}

// Whatever a value is, it reaches the command as it is and is never read as one
// (SECURITY B6, S9): 200 of them, in every place, with the real bash.
func TestHostileValues(t *testing.T) {
	h := newHouse(t)
	out := t.TempDir()
	canary := filepath.Join(out, "canary")
	values := hostileValues(canary)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("lastro.yaml", hostileFile)
	write("emit.sh", emitScript)
	p, err := project.Load(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	object, cells := map[string]any{}, []map[string]any{}
	for i, v := range values {
		name := fmt.Sprintf("k%d", i)
		object[name] = v
		cells = append(cells, map[string]any{"i": name, "v": v})
	}
	spec := p.Pipeline
	spec.Params = map[string]any{"x": object}
	for i := range spec.Steps {
		spec.Steps[i].Include = cells
		if spec.Steps[i].Env == nil {
			spec.Steps[i].Env = map[string]string{}
		}
		spec.Steps[i].Env["OUT"] = out
	}
	h.shop.Eval = gate.Expressions{}
	h.event = map[string]any{"kind": "push", "x": object}
	r, steps := h.must(t, spec)
	if r.State != pipeline.Succeeded {
		t.Fatalf("the run %s: %s; %v", r.State, r.Reason, steps["shell"].Error)
	}
	if _, err := os.Lstat(canary); err == nil {
		t.Error("a value was run")
	}
	for i, v := range values {
		for place, want := range map[string]string{"bare": v, "quoted": v, "joined": "--v=" + v, "inner": v + ".", "assigned": v, "whole": v, "part": "<" + v + ">", "worked": v + "!",
			"cel": "<" + v + ">", "param": v, "event": v, "looped": v, "heredoc": v + ".", "nested": v + ".", "cased": "yes", "tested": "yes", "compared": "yes",
			"argument": v, "part-of-argument": "<" + v + ">"} {
			got, err := os.ReadFile(filepath.Join(out, fmt.Sprintf("k%d.%s", i, place)))
			if err != nil || string(got) != want {
				t.Errorf("value %d %.60q, %s: got %.80q, %v", i, v, place, got, err)
			}
		}
	}
}

// The same for what starts a run: all of them in one title and one branch.
func TestHostileEvent(t *testing.T) {
	h := newHouse(t)
	out := t.TempDir()
	canary := filepath.Join(out, "canary")
	title := strings.Join(hostileValues(canary)[:60], " ")
	h.shop.Eval = gate.Expressions{}
	h.event = map[string]any{"kind": "pull_request", "title": title}
	if err := os.WriteFile(filepath.Join(h.dir, "lastro.yaml"), []byte(`
version: 1
name: hostile
steps:
  tell:
    if: event.title.contains("touch") && event.kind != "push"
    env: {TITLE: "${{ event.title }}"}
    run: |
      printf '%s' ${{ event.title }} > "$OUT/bare"
      printf '%s' "$TITLE" > "$OUT/env"
      printf '%s' "[${{ git.branch }}]${{ git.author }}" > "$OUT/git"
`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	p.Pipeline.Steps[0].Env = map[string]string{"OUT": out}
	h.git = pipeline.Git{Branch: title, Author: title}
	if r, _ := h.must(t, p.Pipeline); r.State != pipeline.Succeeded {
		t.Fatalf("the run %s: %s", r.State, r.Reason)
	}
	if _, err := os.Lstat(canary); err == nil {
		t.Error("a value was run")
	}
	for file, want := range map[string]string{"bare": title, "env": title, "git": "[" + title + "]" + title} {
		if got, err := os.ReadFile(filepath.Join(out, file)); err != nil || string(got) != want {
			t.Errorf("%s: %.80q, %v", file, got, err)
		}
	}
}
