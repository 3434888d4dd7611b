// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"lastro"
)

// maxReportDepth bounds the nesting of a report's elements.
const maxReportDepth = 100

// xmlVisitor hears the elements of a document in order. path holds the names
// of the open elements, the current one last.
type xmlVisitor struct {
	start func(path []string, attr func(name string) string) error
	end   func(path []string)
	text  func(path []string, text []byte)
}

// walkXML reads a document element by element. It knows no entities but the
// five of XML itself, so nothing is fetched and nothing grows; a document that
// declares one is refused. Errors carry the line and column.
func walkXML(raw []byte, v xmlVisitor) error {
	dec := xml.NewDecoder(bytes.NewReader(raw))
	dec.CharsetReader = latin
	at := func(e *lastro.Error) error {
		e.Pos.Line, e.Pos.Col = dec.InputPos()
		return e
	}
	var path []string
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return at(lastro.Errorf(lastro.EFailed, "it is not XML: %s", xmlTrouble(err)))
		}
		switch el := tok.(type) {
		case xml.Directive:
			if bytes.Contains(bytes.ToUpper(el), []byte("ENTITY")) {
				return at(lastro.Errorf(lastro.EFailed, "it declares an entity, which no test report needs"))
			}
		case xml.StartElement:
			if path = append(path, el.Name.Local); len(path) > maxReportDepth {
				return at(lastro.Errorf(lastro.EFailed, "its elements are nested more than %d deep", maxReportDepth))
			}
			if err := v.start(path, func(name string) string { return attribute(el, name) }); err != nil {
				var e *lastro.Error
				if errors.As(err, &e) {
					return at(e)
				}
				return err
			}
		case xml.CharData:
			if v.text != nil && len(path) > 0 {
				v.text(path, el)
			}
		case xml.EndElement:
			if v.end != nil {
				v.end(path)
			}
			path = path[:len(path)-1]
		}
	}
}

func attribute(el xml.StartElement, name string) string {
	for _, a := range el.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// xmlTrouble leaves out what the position says already.
func xmlTrouble(err error) string {
	var s *xml.SyntaxError
	if errors.As(err, &s) {
		return s.Msg
	}
	return err.Error()
}

// latin reads the encodings besides UTF-8 that test tools write.
func latin(charset string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(charset) {
	case "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1", "windows-1252":
		return charmap.Windows1252.NewDecoder().Reader(in), nil
	}
	return nil, fmt.Errorf("its encoding %.40q is not known here; write UTF-8", charset)
}
