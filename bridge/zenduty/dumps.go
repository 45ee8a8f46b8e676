package zenduty

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// maxNumber is the longest number that is rendered, in digits of an integer and
// in bytes of any other number. CPython refuses integers beyond it
// (sys.int_info.default_max_str_digits); it has no such limit on floats, but up
// to this length Go's and Python's readers of floats agree on every exponent.
const maxNumber = 4300

// maxSlowFloats is how many floats of a document may be slow to read: 20 µs for the six
// bytes of 5e-324, where others take 0.1 µs or less, and what is rendered is unverified.
// Zenduty's documents have none; this leaves room for the limits of float64 in an alert.
const maxSlowFloats = 8

// AppendDumps appends to dst what CPython 3 prints for
//
//	json.dumps(json.loads(doc))
//
// and returns the extended slice, or dst as it was with an error that names the
// byte offset in doc. Separators are ", " and ": ", the order of members is
// kept, text is ASCII with lower-case \uXXXX (the control character 0x7f
// included), floats are written as repr does, integers keep all their digits,
// and a float beyond float64 becomes Infinity or -Infinity.
//
// doc must be strict JSON (RFC 8259) in UTF-8 without a byte order mark. Python
// is more lenient in some points, and these are refused: NaN and Infinity, the
// same key twice in an object, nesting beyond 500 levels, floats written with
// over 4300 bytes, and more than 8 floats with over 19 significant digits, an exponent
// of three digits or over 32 bytes. Integers of over 4300 digits Python refuses itself.
//
// The result can be up to six times as long as doc, and takes time in proportion to it.
func AppendDumps(dst, doc []byte) ([]byte, error) {
	out, _, err := render(dst, doc)
	if err != nil {
		return dst, fmt.Errorf("json.dumps: %w", err)
	}
	return out, nil
}

// renderer writes what the scanner reads as json.dumps would.
type renderer struct {
	in   scanner
	out  []byte
	keys []keySpan // of the objects that are open, outermost first
	slow int       // floats so far that slow is true of
	// Work space of unique: slots hold an index into an object's keys plus one.
	seed  maphash.Seed
	slots []int
	// The rendering of the top-level "payload" member is out[payload[0]:payload[1]].
	payload [2]int
}

// keySpan is a key's rendering, out[from:to], and where in doc the key begins.
type keySpan struct{ from, to, offset int }

// render appends the rendering of doc to dst. payload is the part of it that is
// the rendering of the top-level "payload" member, nil if there is none.
func render(dst, doc []byte) (out, payload []byte, err error) {
	r := renderer{
		in:   scanner{src: doc},
		out:  slices.Grow(dst, len(doc)+len(doc)/8),
		keys: make([]keySpan, 0, 64),
		seed: maphash.MakeSeed(),
	}
	if err := r.value(); err != nil {
		return nil, nil, err
	}
	if err := r.in.end(); err != nil {
		return nil, nil, err
	}
	if from, to := r.payload[0], r.payload[1]; to > 0 {
		payload = r.out[from:to]
	}
	return r.out, payload, nil
}

func (r *renderer) value() error {
	switch r.in.peek() {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		t, err := r.in.text()
		r.out = t.appendDumps(r.out)
		return err
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return r.number()
	}
	word, err := r.in.literal()
	r.out = append(r.out, word...)
	return err
}

func (r *renderer) array() error {
	r.out = append(r.out, '[')
	separator := ""
	err := r.in.array(func() error {
		r.out = append(r.out, separator...)
		separator = ", "
		return r.value()
	})
	r.out = append(r.out, ']')
	return err
}

func (r *renderer) object() error {
	r.out = append(r.out, '{')
	outer, separator := len(r.keys), ""
	err := r.in.object(func(key text) error {
		r.out = append(r.out, separator...)
		separator = ", "
		return r.member(key)
	})
	if err != nil {
		return err
	}
	r.out = append(r.out, '}')
	err = r.unique(r.keys[outer:])
	r.keys = r.keys[:outer]
	return err
}

func (r *renderer) member(key text) error {
	k := keySpan{from: len(r.out), offset: key.offset}
	r.out = key.appendDumps(r.out)
	k.to = len(r.out)
	r.keys = append(r.keys, k)
	payload := r.in.depth == 1 && string(r.out[k.from:k.to]) == `"payload"`

	r.out = append(r.out, ": "...)
	from := len(r.out)
	err := r.value()
	if payload {
		r.payload = [2]int{from, len(r.out)}
	}
	return err
}

// unique checks that no two keys of an object are the same string. The keys are
// unverified input: the hash is seeded anew for every document, so nobody can
// choose keys that collide, and the work stays linear in their length.
func (r *renderer) unique(keys []keySpan) error {
	slots := r.table(len(keys))
	mask := uint64(len(slots) - 1)
	for i, k := range keys {
		key := r.out[k.from:k.to]
		for h := maphash.Bytes(r.seed, key); ; h++ {
			slot := &slots[h&mask]
			if *slot == 0 {
				*slot = i + 1
				break
			}
			if other := keys[*slot-1]; bytes.Equal(key, r.out[other.from:other.to]) {
				return errorAt(k.offset, "the same key twice in an object")
			}
		}
	}
	return nil
}

// table returns empty slots, a power of two and over twice as many as keys.
func (r *renderer) table(keys int) []int {
	size := 2 << bits.Len(uint(keys))
	r.slots = slices.Grow(r.slots[:0], size)[:size]
	clear(r.slots)
	return r.slots
}

func (r *renderer) number() error {
	start := r.in.pos
	n, err := r.in.number()
	if err != nil {
		return err
	}
	digits := len(n.raw)
	if n.integer && n.raw[0] == '-' {
		digits--
	}
	if digits > maxNumber {
		return errorAt(start, fmt.Sprintf("a number of over %d digits", maxNumber))
	}
	if !n.integer && slow(n.raw) {
		if r.slow++; r.slow > maxSlowFloats {
			return errorAt(start, fmt.Sprintf("more than %d floats that are slow to read", maxSlowFloats))
		}
	}
	r.out = appendNumber(r.out, n)
	return nil
}

// A float within these bounds is read fast: strconv has 64 bits for its significant
// digits and a table for its exponent, and the result is neither subnormal nor infinite.
// The few that are halfway between two float64 it reads digit by digit here too, but of
// these there are not many.
const (
	fastDigits   = 19 // significant ones
	fastExponent = 2  // digits of the exponent
	fastBytes    = 32
)

// slow tells whether strconv may have to read a float digit by digit, which takes as many
// rounds as its exponent is large.
func slow(float []byte) bool {
	digits := 0
	for i, c := range float {
		switch {
		case c|0x20 == 'e':
			return digits > fastDigits || len(float) > fastBytes || len(bytes.TrimLeft(float[i+1:], "+-")) > fastExponent
		case c-'0' <= 9 && (c != '0' || digits > 0):
			digits++
		}
	}
	return digits > fastDigits || len(float) > fastBytes
}

// appendNumber appends n as Python prints what it reads: an int without fraction
// and exponent, else a float.
func appendNumber(dst []byte, n number) []byte {
	if !n.integer {
		// The only error is ErrRange, and then the result is the infinity Python
		// reads too.
		f, _ := strconv.ParseFloat(string(n.raw), 64)
		return appendRepr(dst, f)
	}
	if string(n.raw) == "-0" {
		return append(dst, '0') // there is no negative zero among Python's ints
	}
	return append(dst, n.raw...)
}

// appendRepr appends f as CPython's float.__repr__ and json.dumps write it: the
// shortest digits that read back as f, with an exponent if it is below -4 or
// from 16 up (PyOS_double_to_string with format code 'r').
func appendRepr(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	// strconv's exponents have a sign and at least two digits, as Python's.
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[from:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
