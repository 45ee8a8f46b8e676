package zenduty

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text is the inside of a JSON string: valid, without its quotes, escapes as
// written. It aliases the document.
type text struct {
	raw     []byte
	escaped bool // has a backslash somewhere
	offset  int  // of the opening quote
}

// bytes returns the text in UTF-8: the document's own bytes, or a copy where
// escapes had to be resolved. A surrogate without its other half becomes U+FFFD,
// since UTF-8 has no form for it; encoding/json does the same.
func (t text) bytes() []byte {
	if !t.escaped {
		return t.raw
	}
	out := make([]byte, 0, len(t.raw))
	for b := t.raw; len(b) > 0; {
		r, n := unit(b)
		b = b[n:]
		if utf16.IsSurrogate(r) && len(b) > 0 {
			low, n := unit(b)
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				r, b = pair, b[n:]
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// appendDumps appends the text, quoted, as Python's json.dumps writes it: ASCII
// only, which leaves ' ' to '~' alone but for '"' and '\'.
//
// Two escaped surrogates are read as one character by Python and written as the
// same two again, so pairs need no joining here. One string therefore has one
// rendering, and renderings can stand in for strings when keys are compared.
func (t text) appendDumps(dst []byte) []byte {
	dst = append(dst, '"')
	for b := t.raw; len(b) > 0; {
		n := plain(b)
		dst = append(dst, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			break
		}
		r, n := unit(b)
		dst = appendEscaped(dst, r)
		b = b[n:]
	}
	return append(dst, '"')
}

// plain returns how many bytes at the start of b json.dumps copies. Quotes do
// not occur unescaped in a text.
func plain(b []byte) int {
	for i, c := range b {
		if c < ' ' || c > '~' || c == '\\' {
			return i
		}
	}
	return len(b)
}

// unit returns the character, or half of a surrogate pair, at the start of b and
// how many bytes it takes. b must be valid and not empty.
func unit(b []byte) (rune, int) {
	if b[0] != '\\' {
		return utf8.DecodeRune(b)
	}
	switch b[1] {
	case 'u':
		return hex4(b[2:6]), 6
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	return rune(b[1]), 2
}

func appendEscaped(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\f':
		return append(dst, '\\', 'f')
	case '\b':
		return append(dst, '\\', 'b')
	}
	if r >= ' ' && r <= '~' {
		return append(dst, byte(r))
	}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return appendHex4(appendHex4(dst, high), low)
	}
	return appendHex4(dst, r)
}

// appendHex4 appends \uXXXX in lower case.
func appendHex4(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}

// hex4 reads four hexadecimal digits, or returns -1.
func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = (c | 0x20) - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
