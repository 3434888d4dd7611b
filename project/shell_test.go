// SPDX-License-Identifier: Apache-2.0

package project

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compileFor compiles a command with params x, y and z.
func compileFor(t *testing.T, command string) (string, map[string]string, []string) {
	t.Helper()
	src := newSource(FileName, nil)
	l := &loader{source: src, file: &File{}}
	shell, vars := l.compileShell(Text{Value: command}, scope{params: map[string]any{"x": 1, "y": 2, "z": 3}}, nil)
	names := map[string]string{}
	for _, v := range vars {
		names[v.Name] = v.Expr
	}
	var ids []string
	for _, p := range src.problems {
		ids = append(ids, p.ID)
	}
	return shell, names, ids
}

func TestCompileShell(t *testing.T) {
	for command, want := range map[string]string{
		"a --x ${{ params.x }} --y ${{params.y}} ${{ params.x }}":    `a --x "$LASTRO_EXPR_1" --y "$LASTRO_EXPR_2" "$LASTRO_EXPR_1"`,
		`a --x=${{ params.x }}b`:                                     `a --x="$LASTRO_EXPR_1"b`,
		`echo "v: ${{ params.x }}!"`:                                 `echo "v: ${LASTRO_EXPR_1}!"`,
		`echo "$(cat ${{ params.x }})"`:                              `echo "$(cat "$LASTRO_EXPR_1")"`,
		`echo "$(cat "${{ params.x }}")"`:                            `echo "$(cat "${LASTRO_EXPR_1}")"`,
		"echo `cat ${{ params.x }}`":                                 "echo `cat \"$LASTRO_EXPR_1\"`",
		`echo \' ${{ params.x }} \'`:                                 `echo \' "$LASTRO_EXPR_1" \'`,
		"# don't ${{ params.x }}\na ${{ params.y }}":                 "# don't ${{ params.x }}\na \"$LASTRO_EXPR_1\"",
		`echo 'it' ${{ params.x }} 's'`:                              `echo 'it' "$LASTRO_EXPR_1" 's'`,
		`X=${{ params.x }} make`:                                     `X="$LASTRO_EXPR_1" make`,
		"cat <<EOF\nit's ${{ params.x }}\nEOF\na ${{ params.y }}":    "cat <<EOF\nit's ${LASTRO_EXPR_1}\nEOF\na \"$LASTRO_EXPR_2\"",
		"cat <<-EOF | b ${{ params.y }}\n\t${{ params.x }}\n\tEOF\n": "cat <<-EOF | b \"$LASTRO_EXPR_1\"\n\t${LASTRO_EXPR_2}\n\tEOF\n",
		`bash -c 'echo "$1"' _ ${{ params.x }}`:                      `bash -c 'echo "$1"' _ "$LASTRO_EXPR_1"`,
		`bash run.sh ${{ params.x }}`:                                `bash run.sh "$LASTRO_EXPR_1"`,
		`[ ${{ params.x }} -eq 1 ] && echo`:                          `[ "$LASTRO_EXPR_1" -eq 1 ] && echo`,
		`[[ ${{ params.x }} == a* ]]`:                                `[[ "$LASTRO_EXPR_1" == a* ]]`,
		`export X=${{ params.x }}`:                                   `export X="$LASTRO_EXPR_1"`,
		`echo $((1 + 2)) ${{ params.x }}`:                            `echo $((1 + 2)) "$LASTRO_EXPR_1"`,
		`a ${{ params.x * 2 }} "${{ params.y == 2 ? "}}" : "a" }}"`:  `a "$LASTRO_EXPR_1" "${LASTRO_EXPR_2}"`,
		`(cd a; b ${{ params.x }}); c`:                               `(cd a; b "$LASTRO_EXPR_1"); c`,
	} {
		got, _, ids := compileFor(t, command)
		if got != want || len(ids) > 0 {
			t.Errorf("%s\n got %s %v\nwant %s", command, got, ids, want)
		}
	}
}

func TestCompileShellRefuses(t *testing.T) {
	for command, want := range map[string]string{
		`echo 'x ${{ params.x }}'`:                "L0133",
		`echo $'x ${{ params.x }}'`:               "L0133",
		"cat <<'EOF'\n${{ params.x }}\nEOF":       "L0133",
		`echo $(( ${{ params.x }} + 1 ))`:         "L0113",
		`(( ${{ params.x }} > 1 ))`:               "L0113",
		`echo "$(( ${{ params.x }} ))"`:           "L0113",
		`echo ${A:-${{ params.x }}}`:              "L0113",
		`echo ${A[${{ params.x }}]}`:              "L0113",
		`eval echo ${{ params.x }}`:               "L0113",
		`X=1 eval "echo ${{ params.x }}"`:         "L0113",
		`bash -c "echo ${{ params.x }}"`:          "L0113",
		`sudo /bin/sh -ec "echo ${{ params.x }}"`: "L0113",
		`eval $(true) "${{ params.x }}"`:          "L0113",
		`ssh host echo ${{ params.x }}`:           "L0113",
		`let n=${{ params.x }}`:                   "L0113",
		`declare -i n=${{ params.x }}`:            "L0113",
		`[[ ${{ params.x }} -gt 1 ]]`:             "L0113",
		`[[ -n a && 1 -lt ${{ params.x }} ]]`:     "L0113",
		"bash <<EOF\necho ${{ params.x }}\nEOF":   "L0113",
		`printf -v ${{ params.x }} a`:             "L0113",
		`a ${{ params.nope }}`:                    "L0112",
		`a ${{ parms.x }}`:                        "L0111",
		`a ${{ params.x + }}`:                     "L0111",
		`a ${{ params.x + "b" }}`:                 "L0111",
		`a ${{ [params.x] }}`:                     "L0112",
		`a ${{ }}`:                                "L0111",
		`a ${{ params.x`:                          "L0111",
		`a ${{ matrix.depth }}`:                   "L0112",
		`a ${{ secrets.TOKEN }}`:                  "L0111",
	} {
		if _, _, ids := compileFor(t, command); strings.Join(ids, " ") != want {
			t.Errorf("%s gives %v, want %s", command, ids, want)
		}
	}
}

// Values are hostile, the shell is real: whatever stands in a variable, the
// canary is never touched, and each value arrives as it is (SECURITY B6, S9).
func TestShellNeverRunsAValue(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	dir := t.TempDir()
	canary := filepath.Join(dir, "canary")
	hostile := []string{"$(touch " + canary + ")", "`touch " + canary + "`", "; touch " + canary + " #", "'; touch " + canary + " #",
		"\"; touch " + canary + " #", "a[$(touch " + canary + ")]", "\nEOF\ntouch " + canary, "* ~ ?", "-n", "${IFS}", "&& touch " + canary, "| touch " + canary, "\\"}
	for _, command := range []string{
		`printf '%s' ${{ params.x }}`,
		`printf '%s' "${{ params.x }}"`,
		`printf '%s' "$(printf '%s' ${{ params.x }})"`,
		`V=${{ params.x }}; printf '%s' "$V"`,
		"cat <<EOF\n${{ params.x }}\nEOF",
		"printf '%s' \"`printf '%s' ${{ params.x }}`\"",
		`case ${{ params.x }} in *) printf '%s' ${{ params.x }};; esac`,
		`bash -c 'printf "%s" "$1"' _ ${{ params.x }}`,
		`for v in ${{ params.x }}; do printf '%s' "$v"; done # it's ${{ params.y }}`,
		`[[ ${{ params.x }} == nothing ]] || printf '%s' ${{ params.x }}`,
		`[ ${{ params.x }} -eq 1 ] 2>/dev/null || printf '%s' ${{ params.x }}`,
	} {
		shell, vars, ids := compileFor(t, command)
		if len(ids) > 0 {
			t.Fatalf("%s: %v", command, ids)
		}
		for _, value := range hostile {
			cmd := exec.Command(bash, "-euo", "pipefail", "-c", shell)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "LANG=C")
			for name := range vars {
				cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, value))
			}
			out, err := cmd.Output()
			if _, touched := os.Stat(canary); touched == nil {
				t.Fatalf("%s ran the value %q", shell, value)
			}
			if err != nil || strings.TrimSuffix(string(out), "\n") != value {
				t.Errorf("%s with %q prints %q, %v", shell, value, out, err)
			}
		}
	}
}

// Whatever the command, nothing of an expression is left in what the shell
// reads, except in a comment.
func FuzzCompileShell(f *testing.F) {
	for _, s := range []string{"a ${{ params.x }}", "'${{ params.x }}'", "\"$(${{ params.x }}", "<<E\n${{ params.x }}\nE", "$((${{ params.x }}))", "`\"${{ params.x }}", "#${{", "${{ params.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shell, _, ids := compileFor(t, s)
		if len(ids) == 0 && strings.Contains(shell, "${{") && !strings.Contains(s, "#") && !strings.Contains(s, `\`) && !strings.Contains(s, "<<") {
			t.Errorf("%q becomes %q", s, shell)
		}
	})
}
