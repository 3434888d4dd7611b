// SPDX-License-Identifier: Apache-2.0

package track

// Query narrows, orders and pages a search. All clauses must hold.
type Query struct {
	Experiments []string  // nil = all
	State       Lifecycle // "" = both
	Where       []Clause
	// Order is completed by the store, so that no two rows are equal: runs by
	// start (newest first) and id, everything else by creation (newest first) and id.
	Order []Order
	// Datasets narrows the metrics of logged models that clauses look at to those
	// measured on one of these; nil = every metric. Only logged models have it.
	Datasets []DatasetRef
	// Token is the next that the page before came with, "" for the first page. It
	// belongs to a query with the same Experiments, State, Where, Order and
	// Datasets; another query refuses it with lastro.EInvalid.
	Token string
	Limit int // at least 1
}

// Field says what a clause or an order looks at.
type Field string

// The fields.
const (
	Attribute   Field = "attribute"
	MetricField Field = "metric"
	ParamField  Field = "param"
	TagField    Field = "tag"
	Dataset     Field = "dataset" // Key: "name", "digest" or "context"
)

// Op compares.
type Op string

// The operators. LIKE takes % and _ and is case sensitive; ILIKE is not.
const (
	Eq    Op = "="
	NotEq Op = "!="
	Less  Op = "<"
	LessE Op = "<="
	More  Op = ">"
	MoreE Op = ">="
	Like  Op = "LIKE"
	ILike Op = "ILIKE"
	In    Op = "IN"
	NotIn Op = "NOT IN"
	// The key exists, or not; for params, tags and attributes that may be empty.
	IsNull  Op = "IS NULL"
	NotNull Op = "IS NOT NULL"
)

// Clause is one comparison. Text is set for strings, Number for numbers and
// Values for IN. A key that is missing matches nothing but IS NULL; a metric
// that is NaN matches nothing but !=.
type Clause struct {
	Field    Field
	Key      string
	Op       Op
	Text     string
	Number   float64
	IsNumber bool
	Values   []string
}

// Order sorts by a field: values, then NaN, then what has no value, whichever
// the direction.
type Order struct {
	Field   Field
	Key     string
	Desc    bool
	Dataset DatasetRef // the metric of a logged model on this dataset; zero = on any
}

// DatasetRef names a dataset as a client does; an empty Digest means every
// dataset of the name.
type DatasetRef struct{ Name, Digest string }

// DatasetUse is a dataset that tracked runs of an experiment read, and what
// for ("" when no run says).
type DatasetUse struct{ ExperimentID, Name, Digest, Context string }
