// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"fmt"
	"math"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"lastro/serve"
)

// tensors builds the model's inputs, in its order.
func (s *session) tensors(req serve.WorkerRequest) ([]ort.Value, error) {
	if s.matrix() {
		values, width, err := flat(req)
		if err != nil {
			return nil, err
		}
		t, err := tensor(s.inputs[0], ort.NewShape(int64(req.Rows), int64(width)), values)
		return []ort.Value{t}, err
	}
	var out []ort.Value
	for _, in := range s.inputs {
		i := slices.Index(req.Columns, in.Name)
		if i < 0 {
			return out, fmt.Errorf("input %q is missing", in.Name)
		}
		shape := ort.NewShape(int64(req.Rows))
		if len(in.Dimensions) == 2 {
			shape = ort.NewShape(int64(req.Rows), 1)
		}
		t, err := tensor(in, shape, req.Data[i])
		if err != nil {
			return out, err
		}
		out = append(out, t)
	}
	return out, nil
}

// flat is the matrix row by row: as sent, or columns in their order.
func flat(req serve.WorkerRequest) ([]any, int, error) {
	var out []any
	if req.Matrix != nil {
		for _, row := range req.Matrix {
			for _, v := range row {
				out = append(out, v)
			}
		}
		return out, len(req.Matrix[0]), nil
	}
	for row := range req.Rows {
		for _, column := range req.Data {
			out = append(out, column[row])
		}
	}
	return out, len(req.Data), nil
}

// tensor types values as the input asks. A missing number is NaN where the
// type has one.
func tensor(in ort.InputOutputInfo, shape ort.Shape, values []any) (ort.Value, error) {
	switch in.DataType {
	case ort.TensorElementDataTypeFloat:
		return numbers[float32](in.Name, shape, values, float32(math.NaN()))
	case ort.TensorElementDataTypeDouble:
		return numbers(in.Name, shape, values, math.NaN())
	case ort.TensorElementDataTypeInt64:
		return numbers[int64](in.Name, shape, values)
	case ort.TensorElementDataTypeInt32:
		return numbers[int32](in.Name, shape, values)
	case ort.TensorElementDataTypeBool:
		return booleans(in.Name, shape, values)
	case ort.TensorElementDataTypeString:
		return texts(in.Name, shape, values)
	}
	return nil, fmt.Errorf("input %q has the type %s, which is not known here", in.Name, in.DataType)
}

func numbers[T float32 | float64 | int64 | int32](name string, shape ort.Shape, values []any, missing ...T) (ort.Value, error) {
	data := make([]T, len(values))
	for i, v := range values {
		switch x := v.(type) {
		case float64:
			data[i] = T(x)
		case nil:
			if len(missing) == 0 {
				return nil, fmt.Errorf("input %q, row %d: no value", name, i)
			}
			data[i] = missing[0]
		default:
			return nil, fmt.Errorf("input %q, row %d: %v is no number", name, i, v)
		}
	}
	return ort.NewTensor(shape, data)
}

func booleans(name string, shape ort.Shape, values []any) (ort.Value, error) {
	data := make([]bool, len(values))
	for i, v := range values {
		b, ok := v.(bool)
		if !ok {
			return nil, fmt.Errorf("input %q, row %d: %v is no boolean", name, i, v)
		}
		data[i] = b
	}
	return ort.NewTensor(shape, data)
}

func texts(name string, shape ort.Shape, values []any) (ort.Value, error) {
	data := make([]string, len(values))
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("input %q, row %d: %v is no string", name, i, v)
		}
		data[i] = s
	}
	t, err := ort.NewStringTensor(shape)
	if err != nil {
		return nil, err
	}
	if err := t.SetContents(data); err != nil {
		t.Destroy()
		return nil, err
	}
	return t, nil
}

// decode turns an output into the gateway's words.
func decode(name string, v ort.Value) (serve.Output, error) {
	o := serve.Output{Name: name, Shape: v.GetShape()}
	switch t := v.(type) {
	case *ort.Tensor[float32]:
		o.Datatype = "FP64"
		for _, x := range t.GetData() {
			o.Data = append(o.Data, orMissing(float64(x)))
		}
	case *ort.Tensor[float64]:
		o.Datatype = "FP64"
		for _, x := range t.GetData() {
			o.Data = append(o.Data, orMissing(x))
		}
	case *ort.Tensor[int64]:
		o.Datatype = "INT64"
		for _, x := range t.GetData() {
			o.Data = append(o.Data, x)
		}
	case *ort.Tensor[int32]:
		o.Datatype = "INT64"
		for _, x := range t.GetData() {
			o.Data = append(o.Data, int64(x))
		}
	case *ort.Tensor[bool]:
		o.Datatype = "BOOL"
		for _, x := range t.GetData() {
			o.Data = append(o.Data, x)
		}
	case *ort.StringTensor:
		o.Datatype = "BYTES"
		texts, err := t.GetContents()
		if err != nil {
			return o, err
		}
		for _, x := range texts {
			o.Data = append(o.Data, x)
		}
	default:
		return o, fmt.Errorf("output %q has the type %T, which is not known here", name, v)
	}
	return o, nil
}

// orMissing keeps NaN and infinities out of JSON; the gateway refuses a missing number.
func orMissing(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}
