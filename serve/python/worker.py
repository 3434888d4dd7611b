# SPDX-License-Identifier: Apache-2.0
"""A model worker: loads one MLflow folder and answers requests on stdin/stdout.

Frames are a length of four bytes, most significant first, and JSON (see
serve/frame.go). The first frame names the folder; the answer says whether the
model is ready. Then each request gets one reply, until stdin ends.
"""
import json
import os
import struct
import sys
import traceback


def take_over_streams():
    """Keeps the pipe for frames alone: whatever a library prints goes to stderr."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    return source, sink


def read(source):
    head = source.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack(">I", head)
    body = source.read(size)
    return json.loads(body) if len(body) == size else None


def write(sink, message):
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    sink.write(struct.pack(">I", len(body)) + body)
    sink.flush()


def last_line(error):
    return traceback.format_exception_only(type(error), error)[-1].strip()


NUMPY_TYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}


class Model:
    def __init__(self, folder):
        import mlflow.pyfunc

        self.model = mlflow.pyfunc.load_model(folder)
        schema = self.model.metadata.get_input_schema()
        self.types = {}
        self.tensor = None
        if schema is not None:
            if schema.is_tensor_spec():
                spec = schema.inputs[0]
                self.tensor = spec.type if spec.name is None else None
                self.types = {i.name: i.type.name for i in schema.inputs if i.name is not None}
            else:
                self.types = {i.name: getattr(i.type, "name", "object") for i in schema.inputs if i.name is not None}

    def frame(self, request):
        import numpy as np
        import pandas as pd

        if request.get("matrix") is not None:
            matrix = np.asarray(request["matrix"], dtype="float64")
            return matrix.astype(self.tensor) if self.tensor is not None else pd.DataFrame(matrix)
        columns = {}
        for name, values in zip(request.get("columns") or [], request.get("data") or []):
            kind = self.types.get(name, "")
            if kind in NUMPY_TYPES and not (kind == "boolean" and None in values):
                columns[name] = np.array(values, dtype=NUMPY_TYPES[kind])
            elif kind == "datetime":
                columns[name] = pd.to_datetime(pd.Series(values, dtype="object"))
            elif kind in ("string", "object"):
                columns[name] = pd.Series(values, dtype="object")
            else:
                columns[name] = pd.Series(values)
        return pd.DataFrame(columns)

    def answer(self, request):
        got = self.model.predict(self.frame(request))
        named, frame = outputs_of(got)
        outputs = [encode(name, values) for name, values in named]
        for output in outputs:
            if not output["shape"] or output["shape"][0] != request["rows"]:
                raise ValueError(f"the model answered shape {output['shape']} to {request['rows']} rows")
        return {"outputs": outputs, "frame": frame}


def outputs_of(got):
    """The model's answer as (name, array) pairs, and whether it was a table."""
    import numpy as np

    if hasattr(got, "columns") and hasattr(got, "to_dict"):
        return [(str(c), got[c].to_numpy()) for c in got.columns], True
    if hasattr(got, "to_numpy"):
        return [(str(got.name or "predict"), got.to_numpy())], False
    if isinstance(got, dict):
        return [(str(k), np.asarray(v)) for k, v in got.items()], True
    return [("predict", np.asarray(got))], False


def encode(name, values):
    import numpy as np

    kind = values.dtype.kind
    if kind == "f":
        flat = values.astype("float64").ravel()
        data = flat.tolist()
        if not np.isfinite(flat).all():
            data = [v if np.isfinite(v) else None for v in data]
        datatype = "FP64"
    elif kind in "iu":
        datatype, data = "INT64", values.ravel().tolist()
    elif kind == "b":
        datatype, data = "BOOL", values.ravel().tolist()
    else:
        datatype, data = "BYTES", [None if v is None else str(v) for v in values.ravel().tolist()]
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": data}


def main():
    source, sink = take_over_streams()
    load = read(source)
    if load is None:
        return
    try:
        model = Model(load["dir"])
    except BaseException as error:  # also SystemExit of a model's own code: the reason must reach a person
        traceback.print_exc()
        write(sink, {"ready": False, "error": last_line(error)})
        return
    write(sink, {"ready": True, "platform": "mlflow_pyfunc"})
    while True:
        request = read(source)
        if request is None:
            os._exit(0)  # at once: taking the libraries down takes a second, and holds nothing worth keeping
        reply = {"id": request["id"]}
        try:
            reply["answer"] = model.answer(request)
        except Exception as error:
            reply["error"], reply["kind"] = last_line(error), "model"
        write(sink, reply)


main()
