// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// summaryBytes is how much of a step's summary a page shows; the record has it all.
const summaryBytes = 64 << 10

// markdown renders GitHub's dialect without raw HTML: what a step writes is
// data from outside. Links to scripts are dropped by the renderer itself;
// pictures are not loaded, and headings stay below those of the page.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)), extension.Strikethrough, extension.TaskList),
	goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(tame{}, 100))),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(plainPictures{}, 1))),
)

// summaryHTML renders a summary; longer says that only its beginning is shown.
func summaryHTML(source string) (html template.HTML, longer bool) {
	if strings.TrimSpace(source) == "" {
		return "", false
	}
	if len(source) > summaryBytes {
		source, longer = source[:summaryBytes], true
		if i := strings.LastIndexByte(source, '\n'); i > 0 {
			source = source[:i]
		}
	}
	source = strings.ToValidUTF8(source, "�")
	var b bytes.Buffer
	if tooDeep(source) || markdown.Convert([]byte(source), &b) != nil {
		return template.HTML("<pre>" + template.HTMLEscapeString(source) + "</pre>"), longer
	}
	return template.HTML(b.String()), longer
}

// tooDeep finds what no person writes and a parser's work grows with the
// square of: very long lines, lines that open many quotes or lists, and
// paragraphs of little but brackets and stars.
func tooDeep(source string) bool {
	marks := 0
	for line := range strings.Lines(source) {
		if strings.TrimSpace(line) == "" {
			marks = 0
			continue
		}
		marks += strings.Count(line, "[") + strings.Count(line, "*") + strings.Count(line, "_")
		head := line[:min(len(line), 50)]
		if marks > 3000 || len(line) > 10_000 || strings.Count(head, ">")+strings.Count(head, "- ")+strings.Count(head, "[") > 20 {
			return true
		}
	}
	return false
}

// tame moves headings below the page's own (h1 becomes h4).
type tame struct{}

func (tame) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering {
			h.Level = min(h.Level+3, 6)
		}
		if link, ok := n.(*ast.Link); ok && entering {
			link.SetAttributeString("rel", []byte("noopener noreferrer nofollow"))
		}
		return ast.WalkContinue, nil
	})
}

// plainPictures shows the words of a picture in its place: loading it would
// tell its server who reads the page.
type plainPictures struct{}

func (plainPictures) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindImage, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		_, err := fmt.Fprintf(w, "[%s]", template.HTMLEscapeString(string(n.(*ast.Image).Destination)))
		return ast.WalkContinue, err
	})
}
