// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/json"
	"strconv"

	"lastro/trace"
)

// convention is how one library names what MLflow knows of a call of a model.
// Sources: opentelemetry.io, "Semantic conventions for generative AI";
// Arize OpenInference, "Semantic conventions"; Traceloop OpenLLMetry.
type convention struct {
	kind                     string
	types                    map[string]string // of kind -> MLflow's span type
	inputs, outputs          []string
	input, output, total     []string // numbers of tokens
	cacheRead, cacheCreation []string
	model, provider          []string
}

var conventions = []convention{
	{
		kind: "gen_ai.operation.name",
		types: map[string]string{"chat": "CHAT_MODEL", "create_agent": "AGENT", "embeddings": "EMBEDDING", "execute_tool": "TOOL", "generate_content": "LLM",
			"invoke_agent": "AGENT", "text_completion": "LLM", "response": "LLM"},
		inputs: []string{"gen_ai.input.messages", "gen_ai.tool.call.arguments"}, outputs: []string{"gen_ai.output.messages", "gen_ai.tool.call.result"},
		input: []string{"gen_ai.usage.input_tokens"}, output: []string{"gen_ai.usage.output_tokens"},
		cacheRead:     []string{"gen_ai.usage.cache_read.input_tokens"},
		cacheCreation: []string{"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"},
		model:         []string{"gen_ai.response.model", "gen_ai.request.model"}, provider: []string{"gen_ai.provider.name"},
	},
	{
		kind: "openinference.span.kind",
		types: map[string]string{"TOOL": "TOOL", "CHAIN": "CHAIN", "LLM": "LLM", "RETRIEVER": "RETRIEVER", "EMBEDDING": "EMBEDDING", "AGENT": "AGENT",
			"RERANKER": "RERANKER", "GUARDRAIL": "GUARDRAIL", "EVALUATOR": "EVALUATOR"},
		inputs: []string{"input.value"}, outputs: []string{"output.value"},
		input: []string{"llm.token_count.prompt"}, output: []string{"llm.token_count.completion"}, total: []string{"llm.token_count.total"},
		cacheRead: []string{"llm.token_count.prompt_details.cache_read"}, cacheCreation: []string{"llm.token_count.prompt_details.cache_write"},
		model: []string{"llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name"}, provider: []string{"llm.provider"},
	},
	{
		kind:   "traceloop.span.kind",
		types:  map[string]string{"workflow": "WORKFLOW", "task": "TASK", "agent": "AGENT", "tool": "TOOL"},
		inputs: []string{"traceloop.entity.input"}, outputs: []string{"traceloop.entity.output"},
		input: []string{"gen_ai.usage.prompt_tokens"}, output: []string{"gen_ai.usage.completion_tokens"}, total: []string{"llm.usage.total_tokens"},
		provider: []string{"gen_ai.system"},
	},
}

// translate gives a span MLflow's attributes where it has those of another
// convention, so that a search and the sums of tokens find them.
func translate(s *trace.Span) {
	for _, c := range conventions {
		a := s.Attributes
		if kind := c.types[plainOf(a[c.kind])]; kind != "" && (a[trace.AttrType] == nil || plainOf(a[trace.AttrType]) == "UNKNOWN") {
			a[trace.AttrType] = quote(kind)
		}
		copyFirst(a, trace.AttrInputs, c.inputs)
		copyFirst(a, trace.AttrOutputs, c.outputs)
		copyFirst(a, trace.AttrModel, c.model)
		copyFirst(a, trace.AttrProvider, c.provider)
		if a[trace.AttrUsage] == nil {
			c.usage(a)
		}
	}
}

func copyFirst(a map[string]json.RawMessage, to string, from []string) {
	if a[to] != nil {
		return
	}
	for _, key := range from {
		if raw := a[key]; raw != nil && string(raw) != `""` && string(raw) != "null" {
			a[to] = raw
			return
		}
	}
}

func (c convention) usage(a map[string]json.RawMessage) {
	var u trace.Usage
	for _, p := range []struct {
		to   **int64
		from []string
	}{{&u.Input, c.input}, {&u.Output, c.output}, {&u.Total, c.total}, {&u.CacheRead, c.cacheRead}, {&u.CacheWrite, c.cacheCreation}} {
		for _, key := range p.from {
			if n, err := strconv.ParseInt(plainOf(a[key]), 10, 64); err == nil && *p.to == nil {
				*p.to = &n
			}
		}
	}
	if u.Input == nil && u.Output == nil && u.Total == nil {
		return
	}
	if u.Total == nil && u.Input != nil && u.Output != nil {
		u.Total = new(*u.Input + *u.Output)
	}
	a[trace.AttrUsage] = json.RawMessage(u.JSON())
}

// plainOf is a string's characters, the JSON of everything else.
func plainOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
