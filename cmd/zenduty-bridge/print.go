package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// record is the JSON form of an arrival, one a line. One of Body and DataBase64
// is there: JSON is shown as it is, less white space between its tokens.
type record struct {
	Subject    string            `json:"subject"`
	Sequence   uint64            `json:"stream_seq,omitempty"`
	Headers    map[string]string `json:"headers"`
	Body       json.RawMessage   `json:"body,omitempty"`
	DataBase64 []byte            `json:"data_base64,omitempty"`
}

func newRecord(a arrival) record {
	r := record{Subject: a.Subject, Sequence: a.Sequence, Headers: map[string]string{}}
	for name, values := range a.Header {
		r.Headers[name] = strings.Join(values, ", ")
	}
	if isJSON(a.Body) {
		r.Body = a.Body
	} else {
		r.DataBase64 = a.Body
	}
	return r
}

// isJSON: encoding/json lets bytes pass in strings that are not UTF-8.
func isJSON(data []byte) bool { return json.Valid(data) && utf8.Valid(data) }

// printJSON writes an arrival as one line of JSON.
func printJSON(w io.Writer, a arrival) error { return printLine(w, newRecord(a)) }

// printLine writes a value as one line of JSON.
func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// page is where arrivals are shown to a person.
type page struct {
	w      io.Writer
	paint  palette
	unfold bool           // JSON over several lines
	loc    *time.Location // of the times shown
}

// lines shows an arrival in two lines: what happened, and where to find it.
func (p page) lines(a arrival) error {
	g := a.gist()
	when := "                   "
	if t := a.time(); !t.IsZero() {
		when = t.In(p.loc).Format(time.DateTime)
	}
	number := ""
	if g.Number != 0 {
		number = "#" + strconv.FormatInt(g.Number, 10) + "  "
	}
	where := []string{visible(a.Subject)}
	if g.ServiceName != "" {
		where = append([]string{visible(g.ServiceName)}, where...)
	}
	if a.Sequence != 0 {
		where = append(where, "seq "+strconv.FormatUint(a.Sequence, 10))
	}
	_, err := fmt.Fprintf(p.w, "%s  %s  %s%s\n%21s%s\n",
		p.paint.paint(dim, when), p.paint.event(g.Event, fmt.Sprintf("%-12s", visible(g.Event))),
		p.paint.paint(bold, number), visible(g.Title), "", p.paint.paint(dim, strings.Join(where, "  ")))
	return err
}

// block shows all of an arrival: subject, headers and body.
func (p page) block(a arrival) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "   %s\n", p.paint.event(a.gist().Event, visible(a.Subject)))
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		fmt.Fprintf(&b, "   %s %s\n", p.paint.paint(dim, visible(name)+":"), visible(strings.Join(a.Header[name], ", ")))
	}
	b.WriteString("\n   " + p.body(a.Body) + "\n\n")
	_, err := p.w.Write(b.Bytes())
	return err
}

// body is JSON, unfolded or as it is, or anything else, quoted.
func (p page) body(data []byte) string {
	var b bytes.Buffer
	switch {
	case !isJSON(data):
		return strconv.Quote(string(data))
	case p.unfold && json.Indent(&b, data, "   ", "  ") == nil:
		return b.String()
	}
	return string(data)
}
