// SPDX-License-Identifier: Apache-2.0

package project

// examples show the keys of each section of docs/reference/lastro-yaml.md in a
// file that loads; those that say so run as they are. A test holds both.
var examples = map[string][]string{
	"The file": {`
# runs as it is
version: 1
name: hello
description: Says hello and counts the letters
owners: [group:hello]
params: {who: world, times: 2}
steps:
  greet:
    run: for i in $(seq ${{ params.times }}); do echo "hello ${{ params.who }}"; done > work/greeting.txt
    outputs: {text: work/greeting.txt}
  count:
    run: printf '{"letters":%d}' "$(wc -m < work/greeting.txt)" > work/count.json
    inputs: [greet.text]
    metrics: work/count.json
`},
	"python": {`
version: 1
name: with-python
python: {version: "3.11", lock: requirements.lock}   # python: "3.11" writes lastro.lock from requirements.txt
steps:
  train: {run: python train.py}
  old: {run: python train.py, python: "3.9"}         # a step of its own Python
`},
	"on": {`
version: 1
name: triggers
on:
  push: {branches: [main, release/*], paths: [src/**, "!docs/**"]}   # push: alone is every push
  pull_request: {branches: [main], forks: never}
  tag: ["v*"]
  data: [wine]
  schedule:
    - {cron: "0 5 1 * *", timezone: America/Sao_Paulo}
    - {cron: "@daily"}
  manual: true
data: {wine: data/wine.csv}
steps:
  train: {run: python train.py, inputs: [wine]}
`},
	"on.push":         {`on: {push: {branches: [main], tags: ["v*"], paths: [src/**]}}`},
	"on.pull_request": {`on: {pull_request: {branches: [main], paths: [src/**], forks: ask}}`},
	"on.schedule":     {`on: {schedule: [{cron: "30 4 * * 1-5", timezone: Europe/Lisbon}]}`},
	"data.NAME": {`
data:
  wine: data/wine.csv               # the short form: only the source
  visits:
    source: data/visits             # a folder: all its files are one dataset
    path: input/visits              # where steps find it
    contract: contracts/visits.odcs.yaml
    on_fail: warn
    key: [visit_id]
    event_time: seen_at
    sensitive: [sex]
`},
	"steps.NAME": {`
# runs as it is
version: 1
name: steps
params: {depth: 3, rates: {fast: 0.5}, publish: false}
steps:
  lint:
    run: [sh, -c, "test -d ."]             # a list is run without a shell
    code: []                               # needs no file of the project
  train:
    needs: [lint]
    run: |
      echo "depth ${{ params.depth * 2 }}, rate ${{ matrix.rate }}" > work/model.txt
      printf '{"auc":%s}' ${{ matrix.rate }} > work/train.json
      echo "best=${{ matrix.rate }}" >> "$LASTRO_OUTPUT"
    env: {GREETING: "hello ${{ git.branch }}", HALF: "${{ params.rates.fast }}"}
    outputs: {model: work/model.txt}
    metrics: work/train.json
    matrix: {rate: [0.1, 0.7]}
    select: {best: metrics.auc, goal: max}
    parallel: 2
    timeout: 5m
    retry: {max: 2, on: [lost, "exit:75"], backoff: 1s}
    resources: {cpu: 1, memory: 512Mi}
    cache: {max_age: 7d}
  report:
    inputs: [train.model]
    if: metrics.auc > 60%                  # facts of the steps that it waits for
    run: echo "best rate ${{ steps.train.values.best }}, $(cat work/model.txt)"
  publish:
    needs: [report]
    if: params.publish && git.branch == "main"
    run: echo published
`, `
version: 1
name: more-steps
secrets: [API_TOKEN]                       # set with  lastro secret set API_TOKEN
params: {depth: 3}
data:
  people: {source: data/people, key: [id], sensitive: [sex]}
steps:
  split:
    uses: lastro/split                     # a built-in step, with its settings
    inputs: [people]
    with: {by: random, test: 20%, seed: "${{ params.depth }}"}
    outputs: {train: work/train.parquet, test: work/test.parquet}
  fetch:
    run: ./fetch.sh > prices.json          # reads $API_TOKEN
    workdir: tools                         # where it starts; paths of outputs still count from the root
    secrets: [API_TOKEN]
    outputs: {prices: tools/prices.json}
  explore:
    notebook: notes/explore.ipynb          # gets depth, and is kept as it ran
    with: {depth: "${{ params.depth }}"}
    inputs: [split.train, fetch.prices]
    sees: [sex]
    network: none
    plots: [work/roc.json, work/map.png]
`},
	"steps.NAME.reports": {`
tests:
  run: pytest --junitxml=work/junit.xml --cov --cov-report=xml:work/coverage.xml
  reports: {junit: work/junit.xml, coverage: work/coverage.xml}
scan:
  run: ./scan --sarif work/scan.sarif
  reports: {sarif: work/scan.sarif}
api:
  run: go test -json ./... > work/go.json
  reports: {gotest: work/go.json}
`},
	"steps.NAME.select": {`
train:
  run: python train.py --algo ${{ matrix.algo }} --seed ${{ matrix.seed }}
  matrix: {algo: [tree, forest], seed: [1, 2, 3]}
  metrics: work/train.json
  select: {best: metrics.auc, goal: max, average_over: seed}
`},
	"steps.NAME.resources": {`
train:
  run: python train.py
  resources: {cpu: 500m, memory: 2Gi}      # half a processor, 2 GiB
`},
	"steps.NAME.retry": {`
fetch:
  run: ./fetch.sh
  retry: {max: 3, on: [lost, timeout, oom, "exit:75"], backoff: 30s}   # waits 30 s, 1 min, 2 min
  timeout: 10m
`},
	"steps.NAME.cache": {`
fetch: {run: ./fetch.sh, cache: {max_age: 1d}}
clock: {run: date, cache: false}
`},
	"steps.NAME.services.NAME": {`
end-to-end:
  run: ./tests/e2e.sh "http://$API_ADDR"
  services:
    api:
      run: ./api --port "$API_PORT" --level ${{ params.level }}
      env: {MODE: test}
      ready: /healthz                      # a path, or a command that ends with 0
    db: {run: ./db.sh, port: 5432}
`},
	"model": {`
model:
  name: wine-quality
  from: train.model
  protect: [staging]
  require:
    - metrics.r2 >= 0.30
    - {name: not-worse, check: compare.rmse.diff_ci_high <= 0.01, first: pass, on_fail: approve, why: it serves people}
`},
	"deploy.NAME": {`
deploy:
  local: {model: wine-quality@champion}
  production:
    model: wine-quality@champion
    strategy: {canary: [10%, 50%, 100%], hold: 5m, min_requests: 200}
    rollback_if: [errors.rate > 2%, latency.p95 > 200ms]
`},
	"monitor.NAME": {`
monitor:
  local:
    drift: {test: auto, reference: split.train, window: 30d, min_rows: 1000, warn: 0.1, alert: 0.25, columns: [distance]}
    performance: {labels: flights, join: flight_id, observed_for: "decision == 'approve'", delay: 30d, window: 30d, metric: auc, alert: value.ci_high < best - 0.02}
    on_alert:
      - notify: [log]
      - retrain: {when: [performance], new_labels: 5000, cooldown: 7d, max: 2 per month}
`},
}

// matrixPage says what the keys of a matrix do; it stands for the table.
const matrixPage = `
Every combination of the axes is a cell: the step runs once for each, with its own attempts, log and cache entry. Each other key is an axis, a list of numbers,
texts or booleans.

| key | what it is |
|---|---|
| ` + "`exclude`" + ` | combinations that are left out: those that agree with all that one of these names |
| ` + "`include`" + ` | each goes to every combination of the axes that it contradicts in no axis, and adds its other values there; one that fits none becomes a cell of its own |

exclude comes first, then include, as in GitHub Actions. At most 10,000 cells.

` + "```yaml" + `
# runs as it is
version: 1
name: cells
steps:
  train:
    run: echo "${{ matrix.algo }} ${{ matrix.depth }} ${{ matrix.note }}"
    matrix:
      algo: [tree, forest]
      depth: [4, 8]
      exclude: [{algo: forest, depth: 8}]
      include:
        - {note: plain}                          # to every combination ...
        - {algo: tree, note: small}              # ... over it where the algorithm is tree
        - {algo: linear, depth: 0, note: extra}  # fits none: a cell of its own
` + "```" + `
`

// expressionsPage is what stands under the tables about ${{ }} and if:.
const expressionsPage = `
## Expressions

` + "`${{ }}`" + ` in ` + "`run`, `env`, `with`, `services`" + ` is a name or an expression (CEL) over names; ` + "`if:`" + ` is one without the braces that gives true or false. In a shell command
each becomes an environment variable in quotes, so no value, whoever chose it, is read as shell; where the shell would read it as code again (arithmetic, eval,
the text of another shell) it is refused.

| name | value |
|---|---|
| ` + "`params.NAME`" + ` | a param; nested ones by ` + "`params.A.B`" + ` |
| ` + "`matrix.AXIS`" + ` | of the cell |
| ` + "`git.commit`, `git.branch`, `git.author`" + ` | of the commit that runs |
| ` + "`event.kind`" + ` | person, push, pull_request, tag, schedule, data, alert, api; what else there is depends on it (` + "`branch`, `ref`, `before`, `base`, `number`, `title`, `who`" + `), and what is not there is an empty text |
| ` + "`run.id`" + ` | the run's number: a label that changes no cache key |
| ` + "`steps.NAME.metrics.KEY`" + ` | a metric of a step that this one waits for; so with ` + "`tests`, `sarif`, `coverage`, `compare`, `fairness`" + ` |
| ` + "`steps.NAME.values.KEY`" + ` | what it wrote to ` + "`$LASTRO_OUTPUT`" + ` |
| ` + "`metrics.KEY`" + ` ... | the same of whichever step before wrote it; an error when several did |

Numbers are doubles; ` + "`60%`" + ` is 0.6; ` + "`30s`, `15m`, `7d`" + ` are seconds. Operators are those of C; ` + "`a ? b : c`, `in`, `has(x)`, `size(x)`, `abs(x)`, `string(x)`, `double(x)`," + `
` + "`x.startsWith(y)`, `x.contains(y)`, `x.matches(y)`" + ` work. A name with a hyphen is written in brackets inside an expression: ` + "`steps[\"code-tests\"].tests.failed == 0`" + `.
Facts of steps cannot be read under ` + "`with:`" + `, which is read while the run is planned. A value with a NUL character or of more than 120 KiB cannot be given to a program
and fails the step.

A step whose condition is false is **skipped** with the reason, the expression and the values that it saw, and so is what needs it; the run succeeds. A fact that is
missing fails the step.
`
