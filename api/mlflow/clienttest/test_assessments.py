# SPDX-License-Identifier: Apache-2.0
"""Assessments of traces: values of every kind, updates, overriding, searches."""

import mlflow
import pytest
from conftest import refused, since

pytestmark = since(3, 12)

VALUES = {"b": True, "i": 5, "f": 2.5, "s": "yes", "l": ["a", "b"], "d": {"k": 1.5}}


@pytest.fixture
def traced(client, experiment):
    with mlflow.start_span("root") as span:
        pass
    mlflow.flush_trace_async_logging()
    return span.trace_id


@pytest.fixture
def human():
    from mlflow.entities import AssessmentSource

    return AssessmentSource("HUMAN", "ana")


def test_values(client, experiment, traced, human):
    for name, value in VALUES.items():
        mlflow.log_feedback(trace_id=traced, name=name, value=value, source=human, rationale="é", metadata={"k": "v"})
        mlflow.log_expectation(trace_id=traced, name=name, value=value, source=human)
    got = client.get_trace(traced).info.assessments
    assert {a.name: a.value for a in got if a.feedback} == VALUES and {a.name: a.value for a in got if a.expectation} == VALUES
    assert all(a.rationale == "é" and a.metadata["k"] == "v" and a.source.source_id == "ana" for a in got if a.feedback)
    for filter_string, n in {"feedback.b = 'true'": 1, "feedback.i > 4": 1, "feedback.f < 2.5": 0, "feedback.s = 'yes'": 1, "expectation.s = 'no'": 0,
                             "feedback.none IS NULL": 1, "feedback.s IS NOT NULL": 1, "feedback.s LIKE '%es%'": 1}.items():
        assert len(client.search_traces(locations=[experiment], filter_string=filter_string)) == n, filter_string


def test_update_and_override(client, traced, human):
    from mlflow.entities import Expectation, Feedback

    made = mlflow.log_feedback(trace_id=traced, name="score", value=0.9, source=human)
    changed = mlflow.update_assessment(traced, made.assessment_id, Feedback(name="score2", value=3, rationale="new", metadata={"z": "1"}))
    assert (changed.name, changed.value, changed.rationale, changed.metadata) == ("score2", 3, "new", {"z": "1"})
    refused("INVALID_PARAMETER_VALUE", mlflow.update_assessment, traced, made.assessment_id, Expectation(name="x", value=3))
    other = mlflow.override_feedback(trace_id=traced, assessment_id=made.assessment_id, value=1, source=human)
    assert other.overrides == made.assessment_id and mlflow.get_assessment(traced, made.assessment_id).valid is False
    mlflow.delete_assessment(traced, other.assessment_id)
    assert mlflow.get_assessment(traced, made.assessment_id).valid is True
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.get_assessment, traced, "a-none")
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.log_feedback, trace_id="tr-none", name="x", value=1, source=human)


def test_error_of_a_judge(client, traced):
    from mlflow.entities import AssessmentError, AssessmentSource

    mlflow.log_feedback(trace_id=traced, name="judge", error=AssessmentError(error_code="E", error_message="down"), source=AssessmentSource("LLM_JUDGE", "j"))
    (got,) = client.get_trace(traced).info.assessments
    assert got.value is None and got.feedback.error.error_message == "down" and got.source.source_type == "LLM_JUDGE"
