package zenduty

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// maxDepth is how many arrays and objects may be open at once. CPython's readers
// and writers give up at their recursion limit, 1000 unless a program changes
// it and less by the frames already in use; Zenduty's documents need 4.
const maxDepth = 500

// scanner reads one JSON document (RFC 8259), strictly and without allocating.
// Its methods consume a value at a time and check all of it; after an error the
// scanner is of no further use. Errors name the byte offset.
type scanner struct {
	src   []byte
	pos   int
	depth int
}

// peek skips white space and returns the byte there, 0 at the end. No JSON token
// starts with 0, so the two need no telling apart.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end checks that nothing but white space is left.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.src) {
		return errorAt(s.pos, "data after the document's end")
	}
	return nil
}

// object consumes an object. It calls member for each member with the scanner
// before the value, which member must consume.
func (s *scanner) object(member func(key text) error) error {
	if err := s.open(); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.close()
		return nil
	}
	for {
		if err := s.member(member); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.close()
			return nil
		default:
			return s.expected("',' or '}' in an object")
		}
	}
}

func (s *scanner) member(member func(key text) error) error {
	if s.peek() != '"' {
		return s.expected("a string as an object's key")
	}
	key, err := s.text()
	if err != nil {
		return err
	}
	if s.peek() != ':' {
		return s.expected("':' after an object's key")
	}
	s.pos++
	return member(key)
}

// array consumes an array. It calls element with the scanner before each
// element, which element must consume.
func (s *scanner) array(element func() error) error {
	if err := s.open(); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.close()
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.close()
			return nil
		default:
			return s.expected("',' or ']' in an array")
		}
	}
}

func (s *scanner) open() error {
	if s.depth == maxDepth {
		return errorAt(s.pos, fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	s.depth++
	s.pos++
	return nil
}

func (s *scanner) close() {
	s.depth--
	s.pos++
}

// skip consumes any value.
func (s *scanner) skip() error {
	var err error
	switch s.peek() {
	case '{':
		return s.object(func(text) error { return s.skip() })
	case '[':
		return s.array(func() error { return s.skip() })
	case '"':
		_, err = s.text()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		_, err = s.number()
	default:
		_, err = s.literal()
	}
	return err
}

// literal consumes true, false or null and returns it.
func (s *scanner) literal() (string, error) {
	var word string
	switch s.peek() {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	default:
		return "", s.expected("a value")
	}
	end := s.pos + len(word)
	if end > len(s.src) || string(s.src[s.pos:end]) != word {
		return "", s.expected(word)
	}
	s.pos = end
	return word, nil
}

// number is a JSON number as written, aliasing the document.
type number struct {
	raw     []byte
	integer bool // neither fraction nor exponent: Python reads an int
}

// number consumes the number that starts at the scanner's position.
func (s *scanner) number() (number, error) {
	start := s.pos
	if s.src[s.pos] == '-' {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return number{}, s.expected("a digit")
	}
	n := number{integer: true}
	if s.at('.') {
		n.integer = false
		s.pos++
		if !s.digits() {
			return number{}, s.expected("a digit after the decimal point")
		}
	}
	if s.at('e') || s.at('E') {
		n.integer = false
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return number{}, s.expected("a digit in the exponent")
		}
	}
	n.raw = s.src[start:s.pos]
	return n, nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.src) && s.src[s.pos] == c }

// digits consumes decimal digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.src) && s.src[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > start
}

// text consumes the string that starts at the scanner's position.
func (s *scanner) text() (text, error) {
	t := text{offset: s.pos}
	s.pos++
	for start := s.pos; s.pos < len(s.src); {
		s.skipPlain()
		switch c := s.src[s.pos]; {
		case c == '"':
			t.raw = s.src[start:s.pos]
			s.pos++
			return t, nil
		case c == '\\':
			t.escaped = true
			if err := s.escape(); err != nil {
				return text{}, err
			}
		case c < ' ':
			return text{}, errorAt(s.pos, "control character in a string")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			if err := s.multibyte(); err != nil {
				return text{}, err
			}
		}
	}
	return text{}, s.expected("'\"' at a string's end")
}

// skipPlain skips, by eights, what is neither '"', '\\', a control character nor of a
// character of several bytes. Each of the four sets the highest bit of its byte in
// stop; of lower bits and of bytes behind the first that is set, nothing is said
// (Bit Twiddling Hacks, "Determine if a word has a byte less than n").
func (s *scanner) skipPlain() {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for s.pos+8 < len(s.src) { // not to the end, where there is no byte to look at
		v := binary.LittleEndian.Uint64(s.src[s.pos:])
		quote, backslash := v^(ones*'"'), v^(ones*'\\')
		stop := (v | (v - ones*' ') | (quote - ones) | (backslash - ones)) & highs
		if stop != 0 {
			s.pos += bits.TrailingZeros64(stop) / 8
			return
		}
		s.pos += 8
	}
}

// escape consumes a backslash and what belongs to it.
func (s *scanner) escape() error {
	rest := s.src[s.pos+1:]
	if len(rest) == 0 {
		return errorAt(s.pos, "string cut off in an escape")
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		if len(rest) < 5 || hex4(rest[1:5]) < 0 {
			return errorAt(s.pos, `\u without four hexadecimal digits`)
		}
		s.pos += 6
		return nil
	}
	return errorAt(s.pos, "unknown escape in a string")
}

// multibyte consumes one character of more than one byte.
func (s *scanner) multibyte() error {
	r, n := utf8.DecodeRune(s.src[s.pos:])
	if r == utf8.RuneError && n == 1 {
		return errorAt(s.pos, "invalid UTF-8 in a string")
	}
	s.pos += n
	return nil
}

// expected reports that something else stands at the scanner's position.
func (s *scanner) expected(what string) error {
	if s.pos >= len(s.src) {
		return errorAt(len(s.src), "document ends early, expected "+what)
	}
	return errorAt(s.pos, "expected "+what)
}

func errorAt(offset int, problem string) error {
	return fmt.Errorf("byte %d: %s", offset, problem)
}
