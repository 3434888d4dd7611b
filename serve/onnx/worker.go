// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	ort "github.com/yalue/onnxruntime_go"

	"lastro/serve"
)

// session is one loaded model.
type session struct {
	run     *ort.DynamicAdvancedSession
	inputs  []ort.InputOutputInfo
	outputs []ort.InputOutputInfo
}

func runWorker(in io.Reader, out io.Writer, modelDir, libPath string) error {
	r := bufio.NewReader(in)
	var load serve.WorkerLoad
	if err := serve.ReadFrame(r, &load); err != nil {
		return err
	}
	s, err := open(modelDir, libPath)
	if err != nil {
		return serve.WriteFrame(out, serve.WorkerHello{Error: err.Error()})
	}
	defer s.run.Destroy()
	schema := s.schema()
	if err := serve.WriteFrame(out, serve.WorkerHello{Ready: true, Platform: "onnx_onnxruntime", Schema: &schema}); err != nil {
		return err
	}
	for {
		var req serve.WorkerRequest
		if err := serve.ReadFrame(r, &req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		reply := serve.WorkerReply{ID: req.ID}
		if reply.Answer, err = s.predict(req); err != nil {
			reply.Error, reply.Kind = err.Error(), "model"
		}
		if err := serve.WriteFrame(out, reply); err != nil {
			return err
		}
	}
}

func open(modelDir, libPath string) (*session, error) {
	path, err := findModel(modelDir)
	if err != nil {
		return nil, err
	}
	ort.SetSharedLibraryPath(libPath)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return nil, fmt.Errorf("load %s: %w", libPath, err)
	}
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer opts.Destroy()
	// One thread a process: the pool is what uses the cores.
	if err := errors.Join(opts.SetIntraOpNumThreads(1), opts.SetInterOpNumThreads(1)); err != nil {
		return nil, err
	}
	s := &session{}
	if s.inputs, s.outputs, err = ort.GetInputOutputInfo(path); err != nil {
		return nil, err
	}
	for _, o := range s.outputs {
		if o.OrtValueType != ort.ONNXTypeTensor {
			return nil, fmt.Errorf("output %q is no tensor; convert the model again with options={\"zipmap\": False}", o.Name)
		}
	}
	s.run, err = ort.NewDynamicAdvancedSession(path, names(s.inputs), names(s.outputs), opts)
	return s, err
}

func names(infos []ort.InputOutputInfo) []string {
	out := make([]string, len(infos))
	for i, info := range infos {
		out[i] = info.Name
	}
	return out
}

// matrix reports whether the model takes one matrix rather than columns.
func (s *session) matrix() bool {
	if len(s.inputs) != 1 {
		return false
	}
	d := s.inputs[0].Dimensions
	return len(d) == 2 && d[1] != 1
}

func (s *session) schema() serve.Schema {
	if s.matrix() {
		return serve.Schema{Known: true, Width: max(0, int(s.inputs[0].Dimensions[1])), Inputs: []serve.Field{{Type: "double", Required: true}}}
	}
	sc := serve.Schema{Known: true, Named: true}
	for _, i := range s.inputs {
		sc.Inputs = append(sc.Inputs, serve.Field{Name: i.Name, Type: fieldType(i.DataType), Required: true})
	}
	for _, o := range s.outputs {
		sc.Outputs = append(sc.Outputs, serve.Field{Name: o.Name, Type: fieldType(o.DataType)})
	}
	return sc
}

func fieldType(t ort.TensorElementDataType) string {
	switch t {
	case ort.TensorElementDataTypeString:
		return "string"
	case ort.TensorElementDataTypeBool:
		return "boolean"
	case ort.TensorElementDataTypeInt64:
		return "long"
	case ort.TensorElementDataTypeInt32:
		return "integer"
	}
	return "double"
}

func (s *session) predict(req serve.WorkerRequest) (serve.Answer, error) {
	inputs, err := s.tensors(req)
	defer destroy(inputs)
	if err != nil {
		return serve.Answer{}, err
	}
	outputs := make([]ort.Value, len(s.outputs))
	err = s.run.Run(inputs, outputs)
	defer destroy(outputs)
	if err != nil {
		return serve.Answer{}, err
	}
	var a serve.Answer
	for i, v := range outputs {
		o, err := decode(s.outputs[i].Name, v)
		if err != nil {
			return serve.Answer{}, err
		}
		a.Outputs = append(a.Outputs, o)
	}
	return a, nil
}

func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			v.Destroy()
		}
	}
}
