# SPDX-License-Identifier: Apache-2.0
import mlflow
import pytest
from mlflow.entities import SpanType

from conftest import VERSION, since


@pytest.fixture
def traced(client, experiment):
    """The id of a trace with two spans."""

    @mlflow.trace(span_type=SpanType.CHAIN, attributes={"a": 1})
    def outer(x):
        return inner(x) + 1

    @mlflow.trace(span_type=SpanType.TOOL)
    def inner(x):
        return x * 2

    assert outer(4) == 9
    if hasattr(mlflow, "flush_trace_async_logging"):
        mlflow.flush_trace_async_logging()
    return mlflow.get_last_active_trace_id() if VERSION >= (3,) else mlflow.get_last_active_trace().info.request_id


def test_traces(client, experiment, traced):
    trace = client.get_trace(traced)
    assert [(s.name, s.parent_id is None) for s in trace.data.spans] == [("outer", True), ("inner", False)]
    assert trace.data.spans[0].inputs == {"x": 4} and trace.data.spans[0].outputs == 9
    client.set_trace_tag(traced, "k", "v")
    found = client.search_traces([experiment] if VERSION < (3, 12) else None, **({} if VERSION < (3, 12) else {"locations": [experiment]}), filter_string="tags.k = 'v'")
    assert len(found) == 1 and found[0].info.tags["k"] == "v"
    client.delete_trace_tag(traced, "k")
    assert "k" not in client.get_trace(traced).info.tags
    assert client.delete_traces(experiment, **({"trace_ids": [traced]} if VERSION >= (3,) else {"request_ids": [traced]})) == 1


@since(3)
def test_trace_of_a_run_and_session(client, experiment):
    @mlflow.trace
    def f():
        mlflow.update_current_trace(tags={"t": "1"}, metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "ana"})
        raise ValueError("no")

    with mlflow.start_run() as run, pytest.raises(ValueError):
        f()
    mlflow.flush_trace_async_logging()
    frame = mlflow.search_traces(locations=[experiment], run_id=run.info.run_id, return_type="list") if VERSION >= (3, 12) else mlflow.search_traces([experiment], run_id=run.info.run_id, return_type="list")
    assert len(frame) == 1 and frame[0].info.trace_metadata["mlflow.trace.user"] == "ana" and str(frame[0].info.status).endswith("ERROR")


@since(3, 2)
def test_assessments(client, experiment, traced):
    from mlflow.entities import AssessmentSource

    human = AssessmentSource(source_type="HUMAN", source_id="ana")
    made = mlflow.log_feedback(trace_id=traced, name="good", value=True, source=human, rationale="it is")
    mlflow.log_expectation(trace_id=traced, name="answer", value={"is": 9}, source=human)
    got = {a.name: a for a in mlflow.get_trace(traced).info.assessments}
    assert got["good"].value is True and got["good"].rationale == "it is" and got["answer"].value == {"is": 9}
    mlflow.override_feedback(trace_id=traced, assessment_id=made.assessment_id, value=False, source=human)
    mlflow.delete_assessment(trace_id=traced, assessment_id=made.assessment_id)
    assert made.assessment_id not in [a.assessment_id for a in mlflow.get_trace(traced).info.assessments]
