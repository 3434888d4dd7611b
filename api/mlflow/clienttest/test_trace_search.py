# SPDX-License-Identifier: Apache-2.0
"""Traces, searched, counted and linked, as MLflow's documentation says."""

import mlflow
import pytest

from conftest import refused, since

pytestmark = since(3, 12)


@pytest.fixture
def two(client, experiment):
    """Two traces of three spans: the first is of a run, the second has failed."""

    @mlflow.trace(span_type="CHAIN", attributes={"a": 1, "f": 1.0, "list": [1, "x", None]})
    def outer(x):
        with mlflow.start_span("llm", span_type="CHAT_MODEL") as s:
            s.set_inputs({"messages": [{"role": "user", "content": "olá, mundo"}]})
            s.set_outputs({"choices": [{"message": {"role": "assistant", "content": "42"}}]})
            s.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})
            s.set_attribute("mlflow.llm.model", "gpt-x")
        mlflow.update_current_trace(tags={"t": str(x)}, metadata={"mlflow.trace.session": "s1", "m": "x"}, client_request_id=f"req-{x}")
        return inner(x)

    @mlflow.trace(span_type="TOOL")
    def inner(x):
        if x == 13:
            raise ValueError("bad luck")
        return x * 2

    with mlflow.start_run() as run:
        outer(4)
    with pytest.raises(ValueError):
        outer(13)
    mlflow.flush_trace_async_logging()
    traces = client.search_traces(locations=[experiment], order_by=["timestamp_ms ASC"])
    return [t.info.trace_id for t in traces], run.info.run_id


FILTERS = {
    "status = 'OK'": [0], "trace.status = 'ERROR'": [1], "name = 'outer'": [0, 1], "tags.t = '4'": [0], "tag.t != '4'": [1], "metadata.m = 'x'": [0, 1],
    "metadata.`mlflow.trace.session` = 's1'": [0, 1], "span.name = 'llm'": [0, 1], "span.type = 'TOOL' AND span.status = 'ERROR'": [1],
    "span.name = 'llm' AND span.status = 'ERROR'": [], "span.attributes.`mlflow.llm.model` LIKE '%gpt%'": [0, 1], "trace.text LIKE '%mundo%'": [0, 1],
    "client_request_id = 'req-4'": [0], "execution_time_ms > 1000000": [], "timestamp_ms > 0": [0, 1], "name RLIKE '^out'": [0, 1], "tags.none IS NULL": [0, 1],
    "tags.t IS NOT NULL AND status = 'OK'": [0], "status IN ('ERROR', 'x')": [1], "name ILIKE 'OUT%'": [0, 1],
}


def test_search(client, experiment, two):
    ids, run = two

    def found(filter_string):
        return sorted(ids.index(t.info.trace_id) for t in client.search_traces(locations=[experiment], filter_string=filter_string, include_spans=False))

    assert {f: found(f) for f in FILTERS} == FILTERS
    assert found(f"run_id = '{run}'") == [0]
    for wrong in ("bogus = 1", "status = OK", "tags.t > '1'", "status = 'OK' OR status = 'ERROR'", "span.foo = 'x'", "prompt = 'a'", "text = 'x'"):
        refused("INVALID_PARAMETER_VALUE", client.search_traces, locations=[experiment], filter_string=wrong)
    first = client.search_traces(locations=[experiment], max_results=1, order_by=["tags.t"])
    second = client.search_traces(locations=[experiment], max_results=1, order_by=["tags.t"], page_token=first.token)
    assert [first[0].info.tags["t"], second[0].info.tags["t"]] == ["13", "4"]


def test_whole_trace(client, experiment, two):
    ids, _ = two
    trace = client.get_trace(ids[0])
    assert trace.info.token_usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert trace.info.client_request_id == "req-4" and trace.info.trace_metadata["mlflow.trace.session"] == "s1"
    root, llm, tool = trace.data.spans
    assert root.parent_id is None and llm.parent_id == root.span_id and (llm.span_type, tool.span_type) == ("CHAT_MODEL", "TOOL")
    assert root.get_attribute("a") == 1 and isinstance(root.get_attribute("f"), float) and root.get_attribute("list") == [1, "x", None]
    assert llm.inputs["messages"][0]["content"] == "olá, mundo" and tool.outputs == 8
    failed = client.get_trace(ids[1])
    assert "bad luck" in failed.data.spans[0].status.description
    assert failed.data.spans[0].events[0].attributes["exception.type"] == "ValueError"


def test_links_and_deletion(client, experiment, two):
    ids, run = two
    client.link_traces_to_run(trace_ids=[ids[1]], run_id=run)
    assert len(client.search_traces(locations=[experiment], filter_string=f"run_id = '{run}'")) == 2
    client.set_trace_tag(ids[0], "k", "v")
    refused("RESOURCE_DOES_NOT_EXIST", client.delete_trace_tag, ids[0], "none")
    assert client.delete_traces(experiment, max_timestamp_millis=10**13, max_traces=1) == 1
    assert [t.info.trace_id for t in client.search_traces(locations=[experiment])] == [ids[1]]
    refused("RESOURCE_DOES_NOT_EXIST", client.get_trace, ids[0])


def test_trace_by_hand(client, experiment):
    span = client.start_trace("by hand", inputs={"x": 1}, tags={"t": "1"})
    child = client.start_span("child", trace_id=span.trace_id, parent_id=span.span_id)
    client.end_span(span.trace_id, child.span_id, outputs="é")
    client.end_trace(span.trace_id, outputs={"y": 2}, status="OK")
    mlflow.flush_trace_async_logging()
    trace = client.get_trace(span.trace_id)
    assert [s.name for s in trace.data.spans] == ["by hand", "child"] and trace.data.spans[1].outputs == "é" and trace.info.tags["t"] == "1"


def test_many_spans(client, experiment):
    with mlflow.start_span("root") as root:
        for i in range(300):
            with mlflow.start_span(f"s{i}") as s:
                s.set_inputs({"n": i, "text": "word " * 200})
    mlflow.flush_trace_async_logging()
    trace = client.get_trace(root.trace_id)
    assert len(trace.data.spans) == 301 and sorted(s.inputs["n"] for s in trace.data.spans if s.parent_id) == list(range(300))


def test_opentelemetry(client, experiment):
    exporter = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    import os

    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    headers = {"x-mlflow-experiment-id": experiment, "Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]}
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(exporter.OTLPSpanExporter(os.environ["MLFLOW_TRACKING_URI"] + "/v1/traces", headers=headers, compression=Compression.Gzip)))
    with provider.get_tracer("t").start_as_current_span("root") as span:
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 6, "session.id": "s"})
        trace_id = f"tr-{span.get_span_context().trace_id:032x}"
    provider.shutdown()
    trace = client.get_trace(trace_id)
    assert trace.info.token_usage["total_tokens"] == 11 and trace.info.tags["service.name"] == "shop" and trace.data.spans[0].span_type == "CHAT_MODEL"
