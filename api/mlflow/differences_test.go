// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"strings"
)

// Why lastro answers otherwise; docs/mlflow.md tells people the same.
const (
	wrongType  = "a value of the wrong type is refused; MLflow stores 0 or nothing for it"
	notHere    = "what is named must be there; MLflow stores a name that leads nowhere"
	ownPlaces  = "where artifacts are kept is never a client's choice"
	plainNames = "names of artifacts are normal ones, and a listing treats each the same"
	noPages    = "MLflow answers with a fault of its server"
	sayWhat    = "the code says what is wrong; MLflow's says that its database refused it"
	kinder     = "lastro fills in what MLflow asks for"
	again      = "what is sent again changes nothing; MLflow's database refuses it"
	tooLong    = "what is too long is refused; MLflow stores it, or cuts it without a word"
	wholeValue = "a search by a value takes one of the right form; MLflow takes some that find nothing"
	numbers    = "a number after a model's name is a version, so it is no alias"
	madeUp     = "ids of experiments are not counted up, so their order says nothing"
	running    = "a run that goes on has no end"
	finished   = "a model's status is compared as people write it, READY"
	answers    = "the answer holds the model; MLflow's is empty"
	deleted    = "what was deleted is not found; MLflow changes it"
	noToken    = "MLflow's lists end at any size; lastro's have pages"
	original   = "the first experiment is as old as the installation's schema, not as the server"
	knowsMore  = "the answer says which logged model a version is made of"
	theScript  = "the recording has what MLflow takes and lastro refuses"
)

// differences are the calls of the recordings that lastro answers otherwise, as
// "subject: name".
var differences = map[string]string{
	"artifacts: download a folder":                         noPages,
	"artifacts: list /etc":                                 plainNames,
	"artifacts: list /etc of a run":                        plainNames,
	"artifacts: list ..\\":                                 plainNames,
	"artifacts: list ..\\ of a run":                        plainNames,
	"artifacts: list C:/x":                                 plainNames,
	"artifacts: list C:/x of a run":                        plainNames,
	"artifacts: list a#b":                                  plainNames,
	"artifacts: list a#b of a run":                         plainNames,
	"artifacts: list ./x":                                  plainNames,
	"artifacts: list ./x of a run":                         plainNames,
	"artifacts: list a//b":                                 plainNames,
	"artifacts: list a//b of a run":                        plainNames,
	"batches: by run_uuid":                                 kinder,
	"batches: tokens":                                      wrongType,
	"batches: history of no run":                           notHere,
	"batches: bad: params of text":                         noPages,
	"batches: bad: metrics that are null":                  kinder,
	"batches: bad: param that is a number":                 wrongType,
	"batches: bad: tag that is a number":                   wrongType,
	"batches: bad: metric with a bad value":                wrongType,
	"batches: bad: metric with a step as a list":           wrongType,
	"experiments: the default one":                         original,
	"experiments: a list for a body":                       noPages,
	"experiments: a text for a body":                       noPages,
	"experiments: location of a file":                      ownPlaces,
	"experiments: location on S3":                          ownPlaces,
	"experiments: rename to one that is there":             sayWhat,
	"experiments: rename to the name of what is deleted":   sayWhat,
	"experiments: rename what is deleted":                  sayWhat,
	"experiments: search: by attributes.name":              kinder,
	"experiments: search: a view type that is none":        wrongType,
	"experiments: search: order by id":                     madeUp,
	"experiments: search: no max_results":                  kinder,
	"logged_models: create ${n*251}":                       tooLong,
	"logged_models: create ${n*501}":                       tooLong,
	"logged_models: create of a run that is not there":     notHere,
	"logged_models: ready by number":                       wrongType,
	"logged_models: a status that is none":                 wrongType,
	"logged_models: tags":                                  answers,
	"logged_models: tags that are none":                    answers,
	"logged_models: tags without a key":                    wrongType,
	"logged_models: params again":                          again,
	"logged_models: params with another value":             sayWhat,
	"logged_models: metric of a model that is not there":   sayWhat,
	"logged_models: search: status = 'READY'":              finished,
	"logged_models: search: status = 'LOGGED_MODEL_READY'": finished,
	"logged_models: search: params.p = 1":                  wholeValue,
	"logged_models: search: metrics.auc = 'x'":             noPages,
	"logged_models: search: colour = 'x'":                  noPages,
	"logged_models: search: name = one":                    wholeValue,
	"logged_models: search: ":                              theScript,
	"logged_models: search: by a dataset without a digest": kinder,
	"logged_models: search: max_results 0":                 noToken,
	"logged_models: search: max_results 1001":              noToken,
	"logged_models: search: a token that is none":          noPages,
	"logged_models: delete twice":                          deleted,
	"logged_models: ready, deleted":                        deleted,
	"registry: create ${x*257}":                            tooLong,
	"registry: version of a logged model":                  knowsMore,
	"registry: version of a run that is not there":         notHere,
	"registry: get version -1":                             wrongType,
	"registry: alias '1'":                                  numbers,
	"registry: alias '12'":                                 numbers,
	"registry: stage in lower case":                        knowsMore,
	"registry: latest":                                     knowsMore,
	"registry: latest by POST":                             knowsMore,
	"registry: latest of a stage in lower case":            knowsMore,
	"registry: archive with archived":                      noPages,
	"registry: versions: tags.a IS NULL":                   noPages,
	"registry: versions: attributes.name = 'm'":            kinder,
	"registry: versions: order by version_number DESC":     noPages,
	"registry: versions: order by version_number":          noPages,
	"registry: models: tags.t IS NULL":                     noPages,
	"registry: models: attributes.name = 'm'":              kinder,
	"registry: models: max_results 0":                      noToken,
	"runs: create with a time with a fraction":             wrongType,
	"runs: create in no experiment at all":                 kinder,
	"runs: create with a tag of 251":                       tooLong,
	"runs: create with tags that are no list":              wrongType,
	"runs: metric with a value that is true":               wrongType,
	"runs: metric with a fraction of a step":               wrongType,
	"runs: metric with a step of 2^63":                     wrongType,
	"runs: metric NaN as a token":                          wrongType,
	"runs: metric Infinity as a token":                     wrongType,
	"runs: metric -Infinity as a token":                    wrongType,
	"runs: metric of 1e999":                                wrongType,
	"runs: to a status that is none":                       wrongType,
	"runs: back to running":                                running,
	"runs: inputs without a digest":                        wrongType,
	"runs: inputs without a name":                          wrongType,
	"runs: inputs without a source":                        wrongType,
	"runs: inputs without a dataset":                       wrongType,
	"runs: a model as input that is not there":             notHere,
	"runs: outputs again":                                  again,
	"search: a view type that is none":                     wrongType,
	"search: 129 metrics. > 1":                             wholeValue,
	"search: 148 ":                                         kinder,
	"search: order 26 Created DESC":                        noPages,
	"search: order 27 created":                             noPages,
	"search: max_results 1.5":                              wrongType,
	"search: a token that is a number":                     wrongType,
	"search: datasets":                                     kinder,
	"search: datasets of too many":                         kinder,
}

// reason returns why a call is answered otherwise, "" when it should not be.
func reason(call string) string { return strings.TrimSpace(differences[call]) }
