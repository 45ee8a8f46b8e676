package zenduty_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/zenduty-bridge/zenduty-bridge/bridge/zenduty"
)

// TestDumpsAgainstPython holds AppendDumps against CPython itself, on the
// examples of the other tests, on random documents and on damaged ones.
func TestDumpsAgainstPython(t *testing.T) {
	var docs [][]byte
	for _, test := range dumpsTests {
		docs = append(docs, []byte(test.doc))
	}
	for _, test := range refusedTests {
		if !test.lenient {
			docs = append(docs, []byte(test.doc))
		}
	}
	for _, vec := range readVectors(t) {
		docs = append(docs, vec.Body)
	}
	g := generator{rand.New(rand.NewPCG(2020, 217))}
	for range 4000 {
		doc := g.document()
		docs = append(docs, doc, g.damage(doc))
	}
	refused, slow := 0, 0
	for i, want := range askPython(t, docs) {
		got, err := zenduty.AppendDumps(nil, docs[i])
		if err != nil {
			refused++
			got = nil
		}
		if err != nil && want != nil && outOfBounds(t, docs[i]) { // of slow floats: the generator keeps to the others
			slow++
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%.300q\n   got %.300q, %v\nPython %.300q", docs[i], got, err, want)
		}
	}
	t.Logf("%d documents, of which %d refused, %d for their slow floats", len(docs), refused, slow)
	if slow > len(docs)/20 {
		t.Error("too many are not compared")
	}
}

// askPython returns json.dumps(json.loads(doc)) for each document, nil where
// Python refuses it.
func askPython(t *testing.T, docs [][]byte) [][]byte {
	t.Helper()
	p := startPython(t)
	renderings := make([][]byte, len(docs))
	for i, doc := range docs {
		renderings[i] = p.dumps(t, doc)
	}
	return renderings
}

// python is CPython at work on documents, one at a time.
type python struct {
	documents  io.Writer
	renderings *bufio.Reader
}

// startPython runs it until the end of the test.
func startPython(t testing.TB) *python {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is needed to compare with CPython:", err)
		}
		t.Skip("NOT COMPARED WITH CPYTHON: python3 is not installed:", err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(path, "-I", "testdata/dumps.py")
	cmd.Stderr = &stderr
	documents, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	renderings, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = documents.Close() // at which it ends
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, stderr.Bytes())
		}
	})
	return &python{documents, bufio.NewReader(renderings)}
}

// dumps is json.dumps(json.loads(doc)), nil where Python refuses doc.
func (p *python) dumps(t *testing.T, doc []byte) []byte {
	t.Helper()
	if _, err := io.WriteString(p.documents, base64.StdEncoding.EncodeToString(doc)+"\n"); err != nil {
		t.Fatalf("ask Python: %v", err)
	}
	line, err := p.renderings.ReadString('\n')
	if err != nil {
		t.Fatalf("Python does not answer to %.300q: %v", doc, err)
	}
	if line == "refused\n" {
		return nil
	}
	rendering, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return rendering
}

// FuzzPython holds AppendDumps against CPython itself, but for the documents that
// only AppendDumps may refuse.
func FuzzPython(f *testing.F) {
	for _, test := range dumpsTests {
		f.Add([]byte(test.doc))
	}
	for _, test := range refusedTests {
		f.Add([]byte(test.doc))
	}
	f.Add(readFile(f, "triggered.json"))
	p := startPython(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := zenduty.AppendDumps(nil, doc)
		if err != nil && json.Valid(doc) && utf8.Valid(doc) && outOfBounds(t, doc) {
			t.Skip("only Python may render it")
		}
		if err != nil {
			got = nil
		}
		if want := p.dumps(t, doc); !bytes.Equal(got, want) {
			t.Fatalf("%.300q\n   got %.300q, %v\nPython %.300q", doc, got, err, want)
		}
	})
}

// generator writes random JSON documents, in every spelling RFC 8259 allows.
type generator struct{ *rand.Rand }

func (g generator) document() []byte {
	return g.space(g.value(g.space(nil), 5))
}

func (g generator) value(b []byte, depth int) []byte {
	kinds := 9
	if depth == 0 {
		kinds = 6 // scalars only
	}
	switch g.IntN(kinds) {
	case 0:
		return append(b, []string{"null", "true", "false"}[g.IntN(3)]...)
	case 1:
		return g.integer(b)
	case 2, 3:
		return g.float(b)
	case 4, 5:
		return g.quoted(b, "")
	case 6:
		return g.array(b, depth)
	}
	return g.object(b, depth)
}

func (g generator) array(b []byte, depth int) []byte {
	b = g.space(append(b, '['))
	for i := range g.IntN(5) {
		if i > 0 {
			b = g.space(append(b, ','))
		}
		b = g.space(g.value(b, depth-1))
	}
	return append(b, ']')
}

// object writes keys that begin with their number, so that no two are the same.
func (g generator) object(b []byte, depth int) []byte {
	b = g.space(append(b, '{'))
	for i := range g.IntN(6) {
		if i > 0 {
			b = g.space(append(b, ','))
		}
		b = g.space(g.quoted(b, fmt.Sprint(i, ":")))
		b = g.space(append(b, ':'))
		b = g.space(g.value(b, depth-1))
	}
	return append(b, '}')
}

func (g generator) space(b []byte) []byte {
	for g.IntN(3) == 0 {
		b = append(b, " \t\r\n"[g.IntN(4)])
	}
	return b
}

func (g generator) integer(b []byte) []byte {
	if g.IntN(2) == 0 {
		b = append(b, '-')
	}
	digits := 1 + g.IntN(20)
	if g.IntN(20) == 0 {
		digits = 1 + g.IntN(400)
	}
	if digits == 1 {
		return append(b, '0'+byte(g.IntN(10)))
	}
	b = append(b, '1'+byte(g.IntN(9)))
	return g.digits(b, digits-1)
}

func (g generator) digits(b []byte, n int) []byte {
	for range n {
		b = append(b, '0'+byte(g.IntN(10)))
	}
	return b
}

// float writes random bits, which are mostly far from 1, or random digits with
// an exponent near the bounds of repr's notations.
func (g generator) float(b []byte) []byte {
	if g.IntN(2) == 0 {
		f := math.Float64frombits(g.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			f = 0.5
		}
		return strconv.AppendFloat(b, f, "eE"[g.IntN(2)], g.IntN(20)-1, 64)
	}
	b = g.integer(b)
	if g.IntN(3) > 0 {
		b = g.digits(append(b, '.'), 1+g.IntN(20))
	}
	exponent := g.IntN(50) - 25
	if g.IntN(10) == 0 {
		exponent = g.IntN(1000) - 500
	}
	return fmt.Appendf(b, []string{"e%d", "E%+d", "e%03d"}[g.IntN(3)], exponent)
}

func (g generator) quoted(b []byte, prefix string) []byte {
	b = append(append(b, '"'), prefix...)
	for range g.IntN(12) {
		b = g.character(b)
	}
	return append(b, '"')
}

func (g generator) character(b []byte) []byte {
	switch g.IntN(8) {
	case 0:
		return append(append(b, '\\'), `"\/bfnrt`[g.IntN(8)])
	case 1:
		return fmt.Appendf(b, []string{`\u%04x`, `\u%04X`}[g.IntN(2)], g.IntN(0x10000))
	case 2: // half a pair, or by chance a whole one
		return fmt.Appendf(b, `\u%04x`, 0xd800+g.IntN(0x800))
	case 3:
		return fmt.Appendf(b, `\u%04x`, g.IntN(0x80))
	case 4:
		return append(b, string(rune(0x80+g.IntN(0xd800-0x80)))...)
	case 5:
		return append(b, string(rune(0x10000+g.IntN(0x100000)))...)
	}
	for {
		if c := byte(' ' + g.IntN(0x80-' ')); c != '"' && c != '\\' {
			return append(b, c)
		}
	}
}

// damage returns doc with a byte or a stretch of it changed. Most of the results
// are no longer JSON.
func (g generator) damage(doc []byte) []byte {
	const telling = "\"\\{}[],:-+.eE019u \n\x00\x1f\x7f\x80\xed\xff"
	at := g.IntN(len(doc))
	b := append([]byte(nil), doc[:at]...)
	switch g.IntN(4) {
	case 0: // cut off
		return b
	case 1: // left out
		return append(b, doc[at+1:]...)
	case 2: // put in
		b = append(b, telling[g.IntN(len(telling))])
		return append(b, doc[at:]...)
	}
	b = append(b, telling[g.IntN(len(telling))])
	return append(b, doc[at+1:]...)
}
